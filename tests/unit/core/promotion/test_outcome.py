import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from IPython.core.formatters import DisplayFormatter

from workshop.core.promotion.outcome import Decision, Guard, Looks, Outcome, Status

DECISION = Decision(
    verdict="better",
    reason="The candidate is better: AUC 0.8437 against 0.8124.",
    rows=1_064,
    positives=210,
    confidence=0.975,
    min_improvement=0.0,
    guards=[Guard("loads", True, "Version 3 was loaded by its URI.", "callers")],
    looks=Looks(number=2, false_promotion_chance=0.05, corrected_confidence=0.9958),
    auc_candidate=0.8437,
    auc_champion=0.8124,
    notes=["This is look 2.", "It reproduces version 2."],
)


def outcome(status: Status = "promoted", sentence: str = "Version 3 is promoted.") -> Outcome:
    holders = {"production": "1", "staging": None, "previous": None}
    drift = {"alcohol": 0.02}
    return Outcome(status, sentence, "wine_quality", "3", "1", "production@0", holders, holders, DECISION, drift)


def test_an_outcome_becomes_json_with_every_figure() -> None:
    read = json.loads(json.dumps(outcome().as_dict()))
    assert read == outcome().as_dict()
    assert read["status"] == "promoted"
    assert read["decision"]["auc_champion"] == 0.8124
    assert read["decision"]["guards"][0]["finding"] == "Version 3 was loaded by its URI."
    assert read["decision"]["looks"]["number"] == 2
    assert read["drift"] == {"alcohol": 0.02}
    assert read["slots_before"] == {"production": "1", "staging": None, "previous": None}


@pytest.mark.parametrize("status", get_args(Status))
def test_a_notebook_shows_the_sentence_the_reason_and_the_notes(status: Status) -> None:
    formatter: Any = DisplayFormatter()
    shown, _ = formatter.format(outcome(status))
    for form in ("text/html", "text/plain"):
        assert "Version 3 is promoted." in shown[form]
        for line in (DECISION.reason, *DECISION.notes):
            assert line in shown[form]


def test_the_colour_depends_on_the_status() -> None:
    def html(status: Status) -> str:
        return str(outcome(status)._repr_mimebundle_()["text/html"])

    assert html("promoted") == html("staged") == html("unchanged")
    assert html("not better") == html("vetoed")
    assert len({html("promoted"), html("not better"), html("refused")}) == 3


def test_the_html_of_a_notebook_is_escaped() -> None:
    script = "<script>pour()</script>"
    for made in (
        outcome(sentence=script),
        replace(outcome(), decision=replace(DECISION, reason=script)),
        replace(outcome(), decision=replace(DECISION, notes=[script])),
    ):
        shown = made._repr_mimebundle_()
        assert "<script>" not in shown["text/html"]
        assert script in shown["text/plain"]
