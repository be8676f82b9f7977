import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.promotion.test_gate import BETTER, FAILS, FEW_ROWS_DO
from workshop.core.parameters import Terms
from workshop.core.promotion.auc import compare_auc
from workshop.core.promotion.gate import decide
from workshop.core.promotion.outcome import Looks

CORRECTED = FEW_ROWS_DO.model_copy(update={"correct_for_looks": True})


def looks(number: int, confidence: float = 0.975) -> Looks:
    """Return the looks of a decision; of a refused one, since that takes no time."""
    return decide(np.array([0, 1]), None, None, Terms(confidence=confidence), checked=[FAILS], look=number).looks


@given(st.integers(1, 10_000), st.floats(0.51, 0.999))
def test_the_shares_of_the_error_and_the_chance_of_a_false_promotion(number: int, confidence: float) -> None:
    error, found = 1 - confidence, looks(number, confidence)
    assert 1 - found.corrected_confidence == pytest.approx(error / (number * (number + 1)))
    assert found.false_promotion_chance == pytest.approx(min(1.0, number * error))
    assert found.false_promotion_chance <= 1


@pytest.mark.parametrize("confidence", [0.6, 0.975, 0.999])
def test_however_many_looks_there_are_together_they_spend_no_more_than_the_error_of_one(confidence: float) -> None:
    spent = [1 - looks(number, confidence).corrected_confidence for number in range(1, 201)]
    assert sum(spent) == pytest.approx((1 - confidence) * (1 - 1 / 201))
    assert sum(spent) < 1 - confidence
    assert spent == sorted(spent, reverse=True)


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("terms", [FEW_ROWS_DO, CORRECTED])
def test_only_the_correction_changes_the_confidence_of_a_later_look(terms: Terms, number: int) -> None:
    decision, comparison = decide(*BETTER, terms, look=number), compare_auc(*BETTER)
    corrected = 1 - 0.025 / (number * (number + 1))
    confidence = corrected if terms.correct_for_looks else 0.975
    assert decision.verdict == "better"
    assert decision.confidence == pytest.approx(confidence)
    assert decision.lower_bound == comparison.lower_bound(decision.confidence)
    assert decision.upper_bound == comparison.upper_bound(decision.confidence)
    assert (decision.looks.number, decision.looks.corrected) == (number, terms.correct_for_looks)
    assert decision.looks.corrected_confidence == pytest.approx(corrected)
    assert decision.looks.corrected_lower_bound == pytest.approx(comparison.lower_bound(corrected))
    assert len(decision.notes) == (number > 1)


def test_a_candidate_that_is_better_at_the_first_look_may_not_be_at_a_later_one() -> None:
    comparison = compare_auc(*BETTER)
    asked = CORRECTED.model_copy(update={"min_improvement": comparison.lower_bound(1 - 0.025 / 6)})
    verdicts = [decide(*BETTER, asked, look=number).verdict for number in (1, 2, 3)]
    assert verdicts == ["better", "not better", "not better"]


def test_more_confidence_needs_more_rows() -> None:
    needed = [
        next(guard for guard in decide(*BETTER, terms, look=5).guards if guard.name == "enough rows").figures
        for terms in (FEW_ROWS_DO, CORRECTED)
    ]
    assert needed[0]["negatives_needed"] < needed[1]["negatives_needed"]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            {"confidence": 0.975},
            ["2.5 % with one look, up to 7.5 % with 3", "99.79 % confidence", "-p correct_for_looks=true"],
        ),
        (
            {"confidence": 0.985},
            ["1.5 % with one look, up to 4.5 % with 3", "99.88 % confidence", "-p correct_for_looks=true"],
        ),
        ({"confidence": 0.9999}, ["0.01 % with one look, up to 0.03 % with 3"]),
        ({"correct_for_looks": True}, ["99.79 %", "at most 0.21 %", "stays at 2.5 % if all looks are corrected"]),
    ],
)
def test_a_note_contains_the_chance_of_a_false_promotion_or_its_correction(
    terms: dict[str, float], words: list[str]
) -> None:
    (note,) = decide(*BETTER, FEW_ROWS_DO.model_copy(update=terms), look=3).notes
    for expected in ("look 3 ", *words):
        assert expected in note
    assert note.endswith(".")


@pytest.mark.parametrize("terms", [FEW_ROWS_DO, CORRECTED])
def test_the_confidence_of_a_late_look_is_not_printed_as_certainty(terms: Terms) -> None:
    decision = decide(*BETTER, terms, look=22)
    assert "100 %" not in " ".join([decision.reason, *decision.notes])
