import json
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from workshop.core.gate import Decision
from workshop.core.outcome import MIME_TYPE, Outcome, Status

DECISION = Decision(
    verdict="better",
    reason="The candidate is better: AUC 0.8437 against 0.8124.",
    rows=1_064,
    positives=210,
    confidence=0.975,
    min_improvement=0.0,
    auc_candidate=0.8437,
    auc_champion=0.8124,
)


def outcome(status: Status = "promoted", sentence: str = "Version 3 is promoted.") -> Outcome:
    holders = {"production": "1", "staging": None, "previous": None}
    return Outcome(status, sentence, "wine_quality", "3", "1", "production@0", holders, holders, DECISION)


def test_an_outcome_fits_into_json_with_every_figure() -> None:
    read = json.loads(json.dumps(outcome().as_dict()))
    assert read == outcome().as_dict()
    assert read["status"] == "promoted"
    assert read["decision"]["auc_champion"] == 0.8124
    assert read["slots_before"] == {"production": "1", "staging": None, "previous": None}


@pytest.mark.parametrize("status", ["promoted", "staged", "not better", "unchanged"])
def test_a_notebook_shows_the_sentence_and_hands_the_figures_on(status: Status) -> None:
    formatter: Any = DisplayFormatter()
    shown, _ = formatter.format(outcome(status))
    assert shown[MIME_TYPE] == outcome(status).as_dict()
    for form in ("text/html", "text/plain"):
        assert "Version 3 is promoted." in shown[form]
        assert DECISION.reason in shown[form]


def test_a_candidate_that_is_not_better_is_shown_in_another_colour() -> None:
    def html(status: Status) -> str:
        return str(outcome(status)._repr_mimebundle_()["text/html"])

    assert html("not better") != html("promoted")
    assert html("promoted") == html("staged")


def test_what_a_notebook_shows_is_escaped() -> None:
    assert "<script>" not in outcome(sentence="<script>pour()</script>")._repr_mimebundle_()["text/html"]
