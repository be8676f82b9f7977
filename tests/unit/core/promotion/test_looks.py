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
confidences = st.floats(0.51, 0.999)


def looks(number: int, confidence: float = 0.975) -> Looks:
    """What a decision says of its looks; of one that is refused, since that takes no time."""
    return decide(np.array([0, 1]), None, None, Terms(confidence=confidence), checked=[FAILS], look=number).looks


@given(st.integers(1, 10_000), confidences)
def test_the_parts_of_the_error_that_the_looks_get_are_the_published_ones(number: int, confidence: float) -> None:
    error = 1 - confidence
    assert 1 - looks(number, confidence).corrected_confidence == pytest.approx(error / (number * (number + 1)))


@given(st.integers(1, 200), confidences)
def test_however_many_looks_there_are_together_they_spend_no_more_than_the_error_of_one(
    number: int, confidence: float
) -> None:
    spent = [1 - looks(each, confidence).corrected_confidence for each in range(1, number + 1)]
    assert sum(spent) == pytest.approx((1 - confidence) * (1 - 1 / (number + 1)))
    assert sum(spent) < 1 - confidence
    assert spent == sorted(spent, reverse=True)


@given(st.integers(1, 200), confidences)
def test_the_chance_of_a_false_promotion_grows_with_the_looks_up_to_certainty(number: int, confidence: float) -> None:
    chance = looks(number, confidence).false_promotion_chance
    assert chance == pytest.approx(min(1.0, number * (1 - confidence)))
    assert chance <= 1
    assert looks(number + 1, confidence).false_promotion_chance >= chance


@pytest.mark.parametrize("number", [1, 2, 7])
def test_without_the_correction_the_verdict_is_the_same_at_every_look(number: int) -> None:
    decision = decide(*BETTER, FEW_ROWS_DO, look=number)
    comparison = compare_auc(*BETTER)
    assert (decision.verdict, decision.confidence) == ("better", 0.975)
    assert decision.lower_bound == comparison.lower_bound(0.975)
    assert (decision.looks.number, decision.looks.corrected) == (number, False)
    corrected = 1 - 0.025 / (number * (number + 1))
    assert decision.looks.corrected_lower_bound == pytest.approx(comparison.lower_bound(corrected))


@pytest.mark.parametrize("number", [1, 2, 7])
def test_the_correction_gives_the_bounds_more_confidence_with_every_look(number: int) -> None:
    decision = decide(*BETTER, CORRECTED, look=number)
    comparison = compare_auc(*BETTER)
    assert decision.confidence == pytest.approx(1 - 0.025 / (number * (number + 1)))
    assert decision.confidence == decision.looks.corrected_confidence
    assert decision.lower_bound == comparison.lower_bound(decision.confidence) == decision.looks.corrected_lower_bound
    assert decision.upper_bound == comparison.upper_bound(decision.confidence)
    assert decision.looks.corrected


def test_a_candidate_that_is_better_at_the_first_look_may_not_be_at_a_later_one() -> None:
    comparison = compare_auc(*BETTER)
    asked = CORRECTED.model_copy(update={"min_improvement": comparison.lower_bound(1 - 0.025 / 6)})
    verdicts = [decide(*BETTER, asked, look=number).verdict for number in (1, 2, 3)]
    assert verdicts == ["better", "not better", "not better"]


def test_more_confidence_takes_more_rows_too() -> None:
    needed = [
        next(guard for guard in decide(*BETTER, terms, look=5).guards if guard.name == "enough rows").figures
        for terms in (FEW_ROWS_DO, CORRECTED)
    ]
    assert needed[0]["negatives_needed"] < needed[1]["negatives_needed"]


@pytest.mark.parametrize("terms", [FEW_ROWS_DO, CORRECTED])
def test_at_the_first_look_there_is_nothing_to_note(terms: Terms) -> None:
    assert decide(*BETTER, terms).notes == []


@pytest.mark.parametrize(
    ("confidence", "chance", "of_one", "corrected"),
    [(0.975, "7.5%", "2.5%", "99.79%"), (0.985, "4.5%", "1.5%", "99.88%")],
)
def test_from_the_second_look_on_a_note_says_how_likely_a_false_promotion_has_become(
    confidence: float, chance: str, of_one: str, corrected: str
) -> None:
    (note,) = decide(*BETTER, FEW_ROWS_DO.model_copy(update={"confidence": confidence}), look=3).notes
    for words in ("look 3 ", f"up to {chance}, not {of_one}", f"{corrected} confidence", "correct_for_looks"):
        assert words in note
    assert note.endswith(".")
    assert len(decide(*BETTER, FEW_ROWS_DO, look=2).notes) == 1


def test_with_the_correction_the_note_says_what_it_has_done() -> None:
    (note,) = decide(*BETTER, CORRECTED, look=2).notes
    for words in ("look 2 ", "99.58%", "0.025"):
        assert words in note
    assert note.endswith(".")


@pytest.mark.parametrize("terms", [FEW_ROWS_DO, CORRECTED])
def test_a_late_look_is_not_called_certain(terms: Terms) -> None:
    decision = decide(*BETTER, terms, look=22)
    assert "100%" not in " ".join([decision.reason, *decision.notes])


def test_a_small_error_is_not_called_none() -> None:
    (note,) = decide(*BETTER, FEW_ROWS_DO.model_copy(update={"confidence": 0.9999}), look=3).notes
    assert "0.0%" not in note
