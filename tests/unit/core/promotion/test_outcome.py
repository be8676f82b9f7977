import html
import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from IPython.core.formatters import DisplayFormatter

from workshop.core.promotion.outcome import Decision, Guard, Looks, Outcome, Status, sentence_for

DECISION = Decision(
    verdict="better",
    reason="AUC 0.844 vs 0.812: +0.031 (97.5 % lower bound +0.010; needs > 0).",
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
            assert line in html.unescape(shown[form])


def test_the_colour_depends_on_the_status() -> None:
    def shown(status: Status) -> str:
        return str(outcome(status)._repr_mimebundle_()["text/html"])

    assert shown("promoted") == shown("staged") == shown("unchanged")
    assert shown("not better") == shown("vetoed")
    assert len({shown("promoted"), shown("not better"), shown("refused")}) == 3


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


@pytest.mark.parametrize(
    ("status", "slot", "champion", "sentence"),
    [
        ("promoted", "production", None, "is promoted: it is the first to hold Production."),
        (
            "promoted",
            "production",
            "1",
            "is promoted to Production: it is better than version 1 on production wines; version 1 is archived.",
        ),
        ("staged", "staging", None, "holds Staging; no version holds Production yet."),
        (
            "staged",
            "staging",
            "1",
            "holds Staging: it is better than version 1 on held-out test wines; Production is untouched.",
        ),
        (
            "not better",
            "staging",
            "1",
            "is not better than version 1 on held-out test wines; Staging and Production are untouched.",
        ),
        ("not better", "production", "1", "is not better than version 1 on production wines; Production is untouched."),
        (
            "vetoed",
            "production",
            "1",
            'is better than version 1 on production wines overall, but the guard "loads" failed; Production is '
            "untouched.",
        ),
        (
            "refused",
            "staging",
            None,
            'is refused, since the guard "loads" failed; Staging and Production are untouched.',
        ),
        (
            "compared",
            "production",
            "1",
            "is better than version 1 on production wines, but this run only compares; Production is untouched.",
        ),
        (
            "compared",
            "staging",
            None,
            "passes, and no version holds Production yet, but this run only compares; Staging and Production are "
            "untouched.",
        ),
        ("unchanged", "staging", "1", "holds Staging already; nothing was changed."),
    ],
)
def test_the_sentence_names_the_slot_and_the_wines(
    status: Status, slot: str, champion: str | None, sentence: str
) -> None:
    failed = replace(DECISION, guards=[replace(DECISION.guards[0], passed=False)])
    assert sentence_for(status, "3", champion, slot, failed) == f"Version 3 {sentence}"


@pytest.mark.parametrize(("passed", "result"), [(True, "passed"), (False, "failed"), (None, "not judged")])
def test_only_a_failed_guard_counts_against_a_candidate(passed: bool | None, result: str) -> None:
    guard = replace(DECISION.guards[0], passed=passed)
    decision = replace(DECISION, guards=[guard])
    assert (guard.result, guard.failed) == (result, result == "failed")
    assert decision.vetoes == [guard] * (result == "failed")
    assert decision.not_judged == [guard] * (result == "not judged")
