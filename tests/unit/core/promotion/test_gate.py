import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.promotion.test_auc import KG, POPIND, PROTEIN, Rows, scored_rows
from workshop.core.parameters import Terms
from workshop.core.promotion.auc import compare_auc
from workshop.core.promotion.gate import decide
from workshop.core.promotion.looks import Budget, Look, Wealth
from workshop.core.promotion.outcome import Decision, Guard, Looks

HOLDS = Guard("loads", True, "Version 2 was loaded by its URI.", "callers")
FAILS = Guard("same inputs as Production", False, "Version 2 takes another column.", "callers", {"columns": 3})
# The simulated rows are few: they suffice to find a difference of 0.2, not one of 0.05.
FEW_ROWS_DO = Terms(detectable_improvement=0.2)
ROWS_FAIL = Terms(detectable_improvement=0.001)
LATER = Look.drawing_on(Wealth(looks=2, budgets=(Budget(0, 1.0),), spent=0.01), 0.25)
UNCORRECTED = FEW_ROWS_DO.model_copy(update={"correct_for_looks": False})


def simulated(random: np.random.Generator, gain: float) -> Rows:
    """Score 400 rows with two models of a noisy signal; the candidate's noise is smaller by `gain`."""
    target = (random.random(400) < 0.2).astype(int)
    signal = 2.0 * target + random.normal(0, 1, 400)
    candidate, champion = (1 / (1 + np.exp(-signal - random.normal(0, noise, 400))) for noise in (1.5 - gain, 1.5))
    return target, candidate, champion


BETTER = simulated(np.random.default_rng(3), gain=1.4)
WORSE = (BETTER[0], BETTER[2], BETTER[1])


def with_a_bad_slice(rows: Rows) -> tuple[Rows, dict[str, np.ndarray]]:
    """Make 20 rows red wines that the candidate ranks in the wrong order and the champion in the right one."""
    target, candidate, champion = rows
    odd = np.concatenate([np.flatnonzero(target == 1)[:10], np.flatnonzero(target == 0)[:10]])
    red = np.isin(np.arange(len(target)), odd)
    candidate = np.where(red, np.where(target == 1, 0.45, 0.55), candidate)
    champion = np.where(red, np.where(target == 1, 0.55, 0.45), champion)
    return (target, candidate, champion), {"red wines": red, "white wines": ~red}


# The verdict


def share_promoted(gain: float) -> float:
    random = np.random.default_rng(11)
    decisions = [decide(*simulated(random, gain), FEW_ROWS_DO) for _ in range(400)]
    return float(np.mean([decision.passed for decision in decisions]))


def test_an_equal_model_is_seldom_promoted_and_a_clearly_better_one_nearly_always() -> None:
    assert 0 < share_promoted(gain=0) < 0.05
    assert share_promoted(gain=1.4) > 0.9


def test_a_better_candidate_whose_guards_hold_is_better() -> None:
    decision = decide(*BETTER, FEW_ROWS_DO, {"all wines": BETTER[0] >= 0}, checked=[HOLDS])
    assert (decision.verdict, decision.passed, decision.vetoes) == ("better", True, [])
    named = ["loads", "rows of both kinds", "enough rows", "not worse on all wines"]
    assert [guard.name for guard in decision.guards] == named


def test_a_better_candidate_that_loses_a_slice_or_has_too_few_rows_is_vetoed() -> None:
    rows, parts = with_a_bad_slice(BETTER)
    assert decide(*rows, FEW_ROWS_DO).verdict == "better"
    decision = decide(*rows, FEW_ROWS_DO, parts)
    assert (decision.verdict, decision.passed) == ("vetoed", False)
    assert [guard.name for guard in decision.vetoes] == ["not worse on red wines"]
    assert decision.reason.startswith("AUC ")
    assert decision.vetoes[0].finding in decision.reason
    decision = decide(*BETTER, ROWS_FAIL)
    assert (decision.verdict, decision.passed) == ("vetoed", False)
    assert [guard.name for guard in decision.vetoes] == ["enough rows"]


def test_a_candidate_that_is_not_better_stays_so_whatever_guard_fails_and_the_reason_contains_it() -> None:
    rows, parts = with_a_bad_slice(WORSE)
    decision = decide(*rows, ROWS_FAIL, parts)
    assert (decision.verdict, decision.passed) == ("not better", False)
    assert {"enough rows", "not worse on red wines"} <= {guard.name for guard in decision.vetoes}
    for guard in decision.vetoes:
        assert guard.finding in decision.reason


@given(scored_rows(), st.floats(0, 0.4))
def test_on_a_few_rows_the_verdict_is_a_veto_exactly_where_the_bound_exceeds_the_limit(
    rows: Rows, min_improvement: float
) -> None:
    decision = decide(*rows, Terms(min_improvement=min_improvement))
    lower = compare_auc(*rows).lower_bound(0.975)
    assert decision.verdict == ("vetoed" if lower > min_improvement else "not better")


@pytest.mark.parametrize("champion", [None, BETTER[2]], ids=["no champion", "a champion"])
@pytest.mark.parametrize("candidate", [None, BETTER[1]], ids=["no answers", "answers"])
def test_a_failed_guard_of_the_callers_beats_everything(
    candidate: np.ndarray | None, champion: np.ndarray | None
) -> None:
    decision = decide(BETTER[0], candidate, champion, FEW_ROWS_DO, checked=[HOLDS, FAILS])
    assert (decision.verdict, decision.passed, decision.vetoes) == ("refused", False, [FAILS])
    assert decision.reason == FAILS.finding
    assert (decision.auc_candidate, decision.difference, decision.lower_bound) == (None, None, None)


@pytest.mark.parametrize("champion", [True, False])
@pytest.mark.parametrize(("rows", "positives"), [(10, 0), (10, 1), (10, 9), (10, 10), (0, 0)])
def test_rows_of_one_kind_are_refused(rows: int, positives: int, champion: bool) -> None:
    target = np.array([1] * positives + [0] * (rows - positives))
    scores = np.linspace(0, 1, rows)
    decision = decide(target, scores, scores if champion else None, Terms())
    assert (decision.verdict, decision.rows, decision.positives) == ("refused", rows, positives)
    counts = f"{positives} wines of high quality and {rows - positives} others (needs 2 and 2)"
    assert decision.reason == f"{counts}: use a table with enough of both kinds."


def test_the_first_model_becomes_the_baseline() -> None:
    decision = decide(POPIND, KG / 10, None, Terms(), checked=[HOLDS])
    assert (decision.verdict, decision.passed) == ("baseline", True)
    assert decision.auc_candidate == pytest.approx(0.7258, abs=5e-5)
    assert (decision.auc_champion, decision.difference, decision.lower_bound) == (None, None, None)
    assert (decision.rows, decision.positives) == (43, 31)
    assert decision.reason == "AUC 0.726 (nothing to compare with: no version holds Production yet)."


def test_the_same_model_again_is_not_better() -> None:
    decision = decide(POPIND, KG / 10, KG / 10, Terms(confidence=0.51))
    assert (decision.verdict, decision.passed) == ("not better", False)
    assert decision.difference == 0
    assert decision.p_value == 1
    assert decision.reason == "AUC 0.726 vs 0.726: +0.000 (the candidate ranks all wines as the champion does)."


def test_the_lower_bound_must_exceed_the_least_improvement() -> None:
    lower = compare_auc(*BETTER).lower_bound(0.975)
    assert lower > 0.01
    for min_improvement, verdict in ((0.0, "better"), (lower - 1e-9, "better"), (lower, "not better")):
        decision = decide(*BETTER, FEW_ROWS_DO.model_copy(update={"min_improvement": min_improvement}))
        assert decision.verdict == verdict
        assert decision.passed == (verdict == "better")
        assert decision.lower_bound == lower


def test_a_perfect_candidate_beats_a_perfectly_wrong_champion() -> None:
    # Neither has any error to estimate.
    target = np.repeat([0, 1], 30)
    decision = decide(target, target * 0.8, 1 - target * 0.8, Terms(confidence=0.999))
    assert (decision.verdict, decision.difference, decision.standard_error, decision.p_value) == ("better", 1, 0, 0)


def test_labels_may_be_truth_values() -> None:
    by_truth = decide(POPIND.astype(bool), KG / 10, PROTEIN / 10, Terms())
    assert by_truth == decide(POPIND.astype("int64"), KG / 10, PROTEIN / 10, Terms())


@given(scored_rows(), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_rows_nor_the_scale_of_the_scores_changes_the_decision(
    rows: Rows, random: Random
) -> None:
    target, candidate, champion = rows
    everything = {"all wines": target >= 0}
    order = list(range(len(target)))
    random.shuffle(order)
    one = decide(target, candidate, champion, Terms(), everything)
    scaled = decide(target[order], candidate[order] ** 2 / 4, champion[order], Terms(), everything)
    assert [guard.name for guard in one.guards] == [guard.name for guard in scaled.guards]
    assert one.lower_bound == pytest.approx(scaled.lower_bound, abs=1e-6)
    assert one.lower_bound is not None
    assert abs(one.lower_bound) < 1e-6 or one.verdict == scaled.verdict


# The record


def every_verdict() -> list[Decision]:
    rows, parts = with_a_bad_slice(BETTER)
    return [
        decide(*BETTER, FEW_ROWS_DO, look=LATER),
        decide(*WORSE, FEW_ROWS_DO, parts, look=LATER),
        decide(*rows, FEW_ROWS_DO.model_copy(update={"correct_for_looks": False}), parts, look=LATER),
        decide(BETTER[0], BETTER[1], None, Terms(), checked=[HOLDS]),
        decide(BETTER[0], None, None, Terms(), checked=[HOLDS, FAILS]),
    ]


def restored(read: dict[str, Any]) -> Decision:
    guards = [Guard(**guard) for guard in read["guards"]]
    return Decision(**{**read, "guards": guards, "looks": Looks(**read["looks"])})


def test_a_decision_of_every_verdict_fits_into_json_and_comes_back_from_it() -> None:
    decisions = every_verdict()
    assert [decision.verdict for decision in decisions] == ["better", "not better", "vetoed", "baseline", "refused"]
    for decision in decisions:
        assert restored(json.loads(json.dumps(decision.as_dict()))) == decision


def test_the_decision_contains_every_figure() -> None:
    decision = decide(*BETTER, Terms(confidence=0.95, min_improvement=0.01, detectable_improvement=0.2))
    comparison = compare_auc(*BETTER)
    assert {name: value for name, value in decision.as_dict().items() if name not in ("guards", "looks")} == {
        "verdict": "better",
        "reason": decision.reason,
        "rows": 400,
        "positives": int(BETTER[0].sum()),
        "confidence": 0.95,
        "min_improvement": 0.01,
        "auc_candidate": comparison.auc_candidate,
        "auc_champion": comparison.auc_champion,
        "difference": comparison.difference,
        "standard_error": comparison.standard_error,
        "lower_bound": comparison.lower_bound(0.95),
        "upper_bound": comparison.upper_bound(0.95),
        "p_value": comparison.p_value,
        "notes": [],
    }


@pytest.mark.parametrize("rows", [BETTER, WORSE], ids=["better", "worse"])
def test_the_reason_is_the_figures_in_short(rows: Rows) -> None:
    decision = decide(*rows, FEW_ROWS_DO.model_copy(update={"min_improvement": 0.01}))
    areas = f"AUC {decision.auc_candidate:.3f} vs {decision.auc_champion:.3f}: {decision.difference:+.3f}"
    assert decision.reason == f"{areas} (97.5 % lower bound {decision.lower_bound:+.3f}; needs > 0.01)."


@pytest.mark.parametrize("confidence", [0.999, 0.9999, 0.99999])
def test_a_confidence_below_certainty_is_not_printed_as_certainty(confidence: float) -> None:
    rows, parts = with_a_bad_slice(WORSE)
    assert "100" not in decide(*rows, FEW_ROWS_DO.model_copy(update={"confidence": confidence}), parts).reason
