"""What a look changes in a decision: its confidence, and the notes for the reader."""

from dataclasses import replace

import pytest
from hypothesis import given

from tests.unit.core.promotion.test_auc import Rows, scored_rows
from tests.unit.core.promotion.test_gate import BETTER, FEW_ROWS_DO, LATER, UNCORRECTED, WORSE
from workshop.core.promotion.auc import compare_auc
from workshop.core.promotion.gate import decide
from workshop.core.promotion.looks import ALONE, Budget, Look, Wealth


@pytest.mark.parametrize(("look", "share"), [(ALONE, 1.0), (LATER, LATER.share)])
def test_a_look_needs_the_confidence_of_its_share_of_the_error(look: Look, share: float) -> None:
    comparison, corrected = compare_auc(*BETTER), 1 - 0.025 * share
    for terms, confidence in ((FEW_ROWS_DO, corrected), (UNCORRECTED, 0.975)):
        decision = decide(*BETTER, terms, look=look)
        assert decision.verdict == "better"
        assert decision.confidence == pytest.approx(confidence)
        assert decision.lower_bound == pytest.approx(comparison.lower_bound(confidence))
        assert decision.looks.corrected_lower_bound == pytest.approx(comparison.lower_bound(corrected))
        assert decision.looks.false_promotion_chance == pytest.approx(look.spent_before + 1 - confidence)
        assert decision.looks.spends == (look is LATER)
        # Whether the rows suffice is another question.
        assert decision.guards == decide(*BETTER, UNCORRECTED).guards


def test_a_candidate_that_is_better_at_the_first_look_may_not_be_at_a_later_one() -> None:
    bound = compare_auc(*BETTER).lower_bound(1 - 0.025 * LATER.share)
    terms = FEW_ROWS_DO.model_copy(update={"min_improvement": bound})
    assert [decide(*BETTER, terms, look=look).verdict for look in (ALONE, LATER)] == ["better", "not better"]


def test_the_note_on_a_look_has_its_confidence_and_what_is_left() -> None:
    (note,) = decide(*BETTER, FEW_ROWS_DO, look=LATER).notes
    assert note == (
        "Look 3 at these production wines (25 % of them are new) needs 99.85 % confidence instead of 97.5 %, so that "
        "at most 2.5 % of all promotions are expected to be of models that are no better. 27 more looks are left; new "
        "wines, and each promotion after the first, add more."
    )
    late = decide(*BETTER, FEW_ROWS_DO, look=Look.drawing_on(Wealth(50, budgets=(Budget(0, 1.0),)), 0)).notes[0]
    assert "Look 51" in late and "99.99953 %" in late and "The next look needs much more confidence" in late


def test_the_note_without_the_correction_has_the_chance_of_a_false_promotion() -> None:
    (note,) = decide(*BETTER, UNCORRECTED, look=LATER).notes
    assert "correction for repeated looks is off" in note
    assert "up to 3.5 %" in note and "correct_for_looks=true, this look needs 99.85 %" in note


def test_the_same_ranking_and_a_repeated_test_spend_nothing() -> None:
    target, candidate, _ = BETTER
    same = decide(target, candidate, candidate, FEW_ROWS_DO, look=LATER)
    assert (same.looks.spends, same.notes) == (False, [])
    again = decide(*BETTER, FEW_ROWS_DO, look=replace(LATER, repeats=True))
    assert (again.looks.spends, len(again.notes)) == (False, 1)
    assert "it is look 3 again" in again.notes[0]


def test_not_better_names_what_would_have_sufficed() -> None:
    limit = compare_auc(*BETTER).difference
    needed = limit - compare_auc(*BETTER).lower_bound(0.975)
    (note,) = decide(*BETTER, FEW_ROWS_DO.model_copy(update={"min_improvement": limit / 2})).notes or [""]
    assert note == ""
    short = FEW_ROWS_DO.model_copy(update={"min_improvement": limit - needed / 2})
    (note,) = decide(*BETTER, short).notes
    assert note == (
        f"On these 400 wines, a difference above {limit + needed / 2:+.3f} would have sufficed, or this difference on "
        "about 1,600 wines."
    )
    (note,) = decide(*WORSE, FEW_ROWS_DO).notes
    assert note == f"On these 400 wines, a difference above {needed:+.3f} would have sufficed."


@given(scored_rows())
def test_what_would_have_sufficed_suffices(rows: Rows) -> None:
    decision = decide(*rows, FEW_ROWS_DO)
    if decision.verdict == "not better" and decision.standard_error:
        needed = float(decision.notes[-1].split("above ")[1].split()[0])
        assert needed >= (decision.difference or 0) - 0.0005
        assert needed - 1.96 * decision.standard_error == pytest.approx(0, abs=0.001)
