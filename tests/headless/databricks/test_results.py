import pytest

from workshop.headless.databricks.results import in_one_sentence, where


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            "WorkshopError: There is no table x: write it first.",
            "There is no table x: write it first.",
        ),
        ("workshop.core.errors.WorkshopError: Add wines.", "Add wines."),
        ("ValueError: n_estimators must be positive\n  at line 3", "ValueError: n_estimators must be positive"),
        ("\x1b[0;31mZeroDivisionError\x1b[0m: division by zero", "ZeroDivisionError: division by zero"),
        ("", "it does not say why"),
        (
            "InputWidgetNotDefined: No input widget named temperature is defined",
            "it asks for the widget temperature, which nobody passes: declare temperature in its parameters cell, and "
            "read it with read_parameters",
        ),
    ],
)
def test_an_error_becomes_one_sentence(error: str, sentence: str) -> None:
    assert in_one_sentence(error) == sentence


@pytest.mark.parametrize(
    ("trace", "place"),
    [
        (
            'Traceback (most recent call last):\n  File "/x/site-packages/workshop/core/data.py", line 145, in load',
            "Raised in load of workshop/core/data.py, line 145.",
        ),
        ("File /opt/lib/site-packages/workshop/core/tables.py:77, in Table.open(self)\n", "Raised in Table.open of "),
        ("Cell In[3], line 2\nno file", ""),
        (None, ""),
    ],
)
def test_a_trace_becomes_one_sentence(trace: str | None, place: str) -> None:
    assert where(trace).startswith(place)
    assert bool(where(trace)) == bool(place)
