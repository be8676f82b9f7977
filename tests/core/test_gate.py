import json
import math
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from tests.core.helpers import refusal
from workshop.core.gate import Comparison, compare_auc, decide

# The ovarian-cancer data of DeLong et al. 1988, complete cases: albumin, total protein, a score, and the label.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
ALBUMIN, PROTEIN, SCORE, POPIND = np.array(OVARIAN.split(), dtype="float64").reshape(-1, 4).T
KG = 10 - SCORE
CONSTANT = np.zeros(len(POPIND))


@st.composite
def scored_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with at least two of each, and two models' scores on a coarse grid, so that many are tied."""
    positives = draw(st.integers(2, 12))
    negatives = draw(st.integers(2, 12))
    target = np.array(draw(st.permutations([1] * positives + [0] * negatives)))
    grid = st.lists(st.integers(0, 8), min_size=len(target), max_size=len(target))
    candidate, champion = (np.array(draw(grid)) / 8 for _ in range(2))
    return target, candidate, champion


def delong_by_definition(target: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """AUCs and their covariance as DeLong et al. define them: every positive against every negative, equations 2-5."""
    kernels = []
    for each in scores:
        above = each[target == 1][:, None] - each[target == 0][None, :]
        kernels.append(np.where(above > 0, 1.0, np.where(above == 0, 0.5, 0.0)))
    m, n = kernels[0].shape
    areas = np.array([kernel.mean() for kernel in kernels])
    v10 = np.array([kernel.mean(axis=1) - area for kernel, area in zip(kernels, areas, strict=True)])
    v01 = np.array([kernel.mean(axis=0) - area for kernel, area in zip(kernels, areas, strict=True)])
    return areas, v10 @ v10.T / (m - 1) / m + v01 @ v01.T / (n - 1) / n


# Published values: SAS/STAT, LOGISTIC procedure, example "Comparing Receiver Operating Characteristic Curves"


def test_the_data_are_the_published_ones() -> None:
    assert len(POPIND) == 43
    assert POPIND.sum() == 31


@pytest.mark.parametrize(("scores", "area", "standard_error"), [(KG, 0.7258, 0.1028), (PROTEIN, 0.6478, 0.1000)])
def test_area_and_standard_error_are_the_published_ones(scores: np.ndarray, area: float, standard_error: float) -> None:
    # A constant has an AUC of one half without any error: what is left is the error of the other.
    against_chance = compare_auc(POPIND, scores, CONSTANT)
    assert against_chance.auc_candidate == pytest.approx(area, abs=5e-5)
    assert against_chance.auc_champion == 0.5
    assert against_chance.standard_error == pytest.approx(standard_error, abs=5e-5)


def test_the_joint_test_of_two_against_a_third_is_the_published_one() -> None:
    albumin, protein = compare_auc(POPIND, ALBUMIN, KG), compare_auc(POPIND, PROTEIN, KG)
    between = compare_auc(POPIND, ALBUMIN, PROTEIN).standard_error ** 2
    variances = albumin.standard_error**2, protein.standard_error**2
    # The variance of a difference gives the covariance of its terms away.
    covariance = (sum(variances) - between) / 2
    matrix = np.array([[variances[0], covariance], [covariance, variances[1]]])
    differences = np.array([albumin.difference, protein.difference])
    statistic = float(differences @ np.linalg.solve(matrix, differences))
    assert statistic == pytest.approx(2.5340, abs=5e-5)
    assert chi2.sf(statistic, 2) == pytest.approx(0.2817, abs=5e-5)


# Definition


@given(scored_rows())
def test_the_comparison_from_ranks_is_the_one_of_the_definition(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    target, candidate, champion = rows
    found = compare_auc(target, candidate, champion)
    areas, covariance = delong_by_definition(target, [candidate, champion])
    assert [found.auc_candidate, found.auc_champion] == pytest.approx(areas)
    assert found.difference == pytest.approx(areas[0] - areas[1], abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.standard_error**2 == pytest.approx(variance, abs=1e-12)


@given(scored_rows())
def test_the_area_is_the_one_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    target, candidate, champion = rows
    found = compare_auc(target, candidate, champion)
    assert found.auc_candidate == pytest.approx(roc_auc_score(target, candidate))
    assert found.auc_champion == pytest.approx(roc_auc_score(target, champion))


@given(scored_rows())
def test_swapping_the_models_turns_the_comparison_around(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    target, candidate, champion = rows
    one, other = compare_auc(target, candidate, champion), compare_auc(target, champion, candidate)
    assert one.difference == -other.difference
    assert (one.auc_candidate, one.auc_champion) == (other.auc_champion, other.auc_candidate)
    assert one.standard_error**2 == pytest.approx(other.standard_error**2, abs=1e-12)
    assert one.lower_bound(0.9) == pytest.approx(-other.upper_bound(0.9), abs=1e-6)


@given(scored_rows())
def test_only_the_order_of_the_scores_counts(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    target, candidate, champion = rows
    assert compare_auc(target, candidate**2 / 4 + 0.5, champion) == compare_auc(target, candidate, champion)


@given(scored_rows(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count(rows: tuple[np.ndarray, np.ndarray, np.ndarray], random: Random) -> None:
    target, candidate, champion = rows
    order = list(range(len(target)))
    random.shuffle(order)
    one, other = compare_auc(target, candidate, champion), compare_auc(target[order], candidate[order], champion[order])
    assert one.difference == pytest.approx(other.difference, abs=1e-12)
    assert one.standard_error**2 == pytest.approx(other.standard_error**2, abs=1e-12)


@given(scored_rows(), st.floats(0.5, 0.9999), st.floats(0.5, 0.9999))
def test_the_bounds_move_apart_as_confidence_grows(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], one: float, other: float
) -> None:
    comparison = compare_auc(*rows)
    less, more = sorted((one, other))
    assert comparison.lower_bound(more) <= comparison.lower_bound(less) <= comparison.difference
    assert comparison.upper_bound(more) >= comparison.upper_bound(less) >= comparison.difference


def test_the_lower_bound_decreases_strictly_where_there_is_an_error() -> None:
    comparison = compare_auc(POPIND, KG, PROTEIN)
    bounds = [comparison.lower_bound(confidence) for confidence in (0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999)]
    assert bounds[0] == pytest.approx(comparison.difference)
    assert all(later < earlier for earlier, later in pairwise(bounds))


@given(scored_rows(), st.floats(0.51, 0.999))
def test_the_p_value_and_the_lower_bound_agree(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], confidence: float
) -> None:
    comparison = compare_auc(*rows)
    lower = comparison.lower_bound(confidence)
    assert 0 <= comparison.p_value <= 1
    if abs(lower) > 1e-6:
        assert (comparison.p_value < 1 - confidence) == (lower > 0)


def test_the_standard_error_is_the_one_that_resampling_gives() -> None:
    random = np.random.default_rng(5)
    target = np.repeat([1, 0], [70, 180])
    signal = target + random.normal(0, 1.2, len(target))
    candidate, champion = (np.round(signal + random.normal(0, spread, len(target)), 1) for spread in (0.4, 0.9))
    differences = stratified_bootstrap(target, candidate, champion, 4_000, random)
    found = compare_auc(target, candidate, champion)
    assert found.standard_error == pytest.approx(differences.std(ddof=1), rel=0.1)
    assert found.difference == pytest.approx(differences.mean(), abs=0.1 * found.standard_error)


def stratified_bootstrap(
    target: np.ndarray, candidate: np.ndarray, champion: np.ndarray, resamples: int, random: np.random.Generator
) -> np.ndarray:
    """AUC differences on resamples of the positives and of the negatives."""
    kernel = np.zeros((int((target == 1).sum()), int((target == 0).sum())))
    for sign, scores in ((1, candidate), (-1, champion)):
        above = scores[target == 1][:, None] - scores[target == 0][None, :]
        kernel += sign * (np.sign(above) + 1) / 2
    m, n = kernel.shape
    positives = random.multinomial(m, np.full(m, 1 / m), size=resamples)
    negatives = random.multinomial(n, np.full(n, 1 / n), size=resamples)
    differences: np.ndarray = np.einsum("ri,ij,rj->r", positives, kernel, negatives, optimize=True) / (m * n)
    return differences


# Deciding


def simulated(random: np.random.Generator, gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two models of a noisy signal; the candidate's noise is smaller by `gain`."""
    target = (random.random(400) < 0.2).astype(int)
    signal = 2.0 * target + random.normal(0, 1, 400)
    candidate, champion = (1 / (1 + np.exp(-signal - random.normal(0, noise, 400))) for noise in (1.5 - gain, 1.5))
    return target, candidate, champion


def share_promoted(gain: float) -> float:
    random = np.random.default_rng(11)
    decisions = [decide(*simulated(random, gain), confidence=0.975, min_improvement=0) for _ in range(400)]
    return float(np.mean([decision.passed for decision in decisions]))


def test_models_of_equal_making_are_seldom_told_to_be_better() -> None:
    assert 0 < share_promoted(gain=0) < 0.05


def test_a_model_that_is_clearly_better_is_promoted() -> None:
    assert share_promoted(gain=1.4) > 0.9


def test_the_first_model_becomes_the_baseline() -> None:
    decision = decide(POPIND, KG / 10, None, confidence=0.975, min_improvement=0)
    assert (decision.verdict, decision.passed) == ("baseline", True)
    assert decision.auc_candidate == pytest.approx(0.7258, abs=5e-5)
    assert (decision.auc_champion, decision.difference, decision.lower_bound) == (None, None, None)
    assert (decision.rows, decision.positives) == (43, 31)
    assert "0.7258" in decision.reason
    assert "nothing to beat" in decision.reason


def test_the_same_model_again_is_not_better() -> None:
    decision = decide(POPIND, KG / 10, KG / 10, confidence=0.51, min_improvement=0)
    assert (decision.verdict, decision.passed) == ("not better", False)
    assert decision.difference == 0
    assert decision.p_value == 1


def test_the_lower_bound_must_exceed_what_is_asked_for() -> None:
    target, candidate, champion = simulated(np.random.default_rng(3), gain=1.4)
    lower = compare_auc(target, candidate, champion).lower_bound(0.975)
    assert lower > 0.01
    for min_improvement, verdict in (
        (0.0, "better"),
        (lower - 1e-9, "better"),
        (lower, "not better"),
        (0.4, "not better"),
    ):
        decision = decide(target, candidate, champion, 0.975, min_improvement)
        assert decision.verdict == verdict
        assert decision.passed == (verdict == "better")
        assert decision.lower_bound == lower


def test_more_confidence_asks_for_more() -> None:
    target, candidate, champion = simulated(np.random.default_rng(3), gain=0.5)
    assert decide(target, candidate, champion, 0.6, 0).passed
    assert not decide(target, candidate, champion, 0.999999, 0).passed


def test_a_perfect_candidate_beats_a_perfectly_wrong_champion() -> None:
    # Neither has any error to estimate.
    target = np.array([0, 0, 1, 1])
    decision = decide(target, np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.9, 0.8, 0.2, 0.1]), 0.999, 0)
    assert (decision.verdict, decision.difference, decision.standard_error, decision.p_value) == ("better", 1, 0, 0)


def test_the_decision_carries_every_figure_and_fits_into_json() -> None:
    target, candidate, champion = simulated(np.random.default_rng(3), gain=1.4)
    decision = decide(target, candidate, champion, 0.95, 0.01)
    comparison = compare_auc(target, candidate, champion)
    assert json.loads(json.dumps(decision.as_dict())) == {
        "verdict": "better",
        "reason": decision.reason,
        "rows": 400,
        "positives": int(target.sum()),
        "confidence": 0.95,
        "min_improvement": 0.01,
        "auc_candidate": comparison.auc_candidate,
        "auc_champion": comparison.auc_champion,
        "difference": comparison.difference,
        "standard_error": comparison.standard_error,
        "lower_bound": comparison.lower_bound(0.95),
        "upper_bound": comparison.upper_bound(0.95),
        "p_value": comparison.p_value,
    }


@pytest.mark.parametrize(("swap", "word"), [(False, "is better"), (True, "is not better")])
def test_the_reason_is_one_sentence_with_the_figures(swap: bool, word: str) -> None:
    target, candidate, champion = simulated(np.random.default_rng(3), gain=1.4)
    decision = (
        decide(target, champion, candidate, 0.975, 0.01) if swap else decide(target, candidate, champion, 0.975, 0.01)
    )
    assert word in decision.reason
    for figure in (decision.auc_candidate, decision.auc_champion, decision.difference, decision.lower_bound):
        assert f"{figure:.4f}" in decision.reason
    assert "97.5% confidence" in decision.reason
    assert "more than 0.01" in decision.reason
    assert "\n" not in decision.reason


@pytest.mark.parametrize("confidence", [0.999, 0.9999, 0.99999])
def test_a_confidence_short_of_certainty_is_not_called_certain(confidence: float) -> None:
    decision = decide(POPIND, KG / 10, PROTEIN / 10, confidence, 0)
    assert "100" not in decision.reason


def test_labels_may_be_truth_values() -> None:
    by_truth = decide(POPIND.astype(bool), KG / 10, PROTEIN / 10, 0.9, 0)
    assert by_truth == decide(POPIND.astype("int64"), KG / 10, PROTEIN / 10, 0.9, 0)


@pytest.mark.parametrize("positives", [0, 1, 9, 10])
def test_rows_of_one_kind_are_refused(positives: int) -> None:
    target = np.array([1] * positives + [0] * (10 - positives))
    scores = np.linspace(0, 1, 10)
    for champion in (None, scores):
        with refusal("10 wines", f"{positives} are of high quality", f"{10 - positives} are not", "both kinds"):
            decide(target, scores, champion, 0.975, 0)


def test_no_rows_are_refused() -> None:
    with refusal("0 wines"):
        decide(np.array([], dtype="int64"), np.array([]), None, 0.975, 0)


GOOD = np.array([0.0, 0.4, 0.6, 1.0])
BAD_ANSWERS = [
    (np.array([0.0, 0.4, 0.6]), ["(3,)", "4 rows"]),
    (GOOD.reshape(4, 1), ["(4, 1)", "4 rows"]),
    (np.array([0.0, np.nan, 0.6, 1.0]), ["NaN"]),
    (np.array([0.0, 0.4, np.inf, 1.0]), ["infinity"]),
    (np.array([0.0, 0.4, 0.6, 1.5]), ["1.5", "0 to 1"]),
    (np.array([-0.25, 0.4, 0.6, 1.0]), ["-0.25", "0 to 1"]),
]


@pytest.mark.parametrize(("answers", "words"), BAD_ANSWERS)
def test_answers_that_are_no_probabilities_are_refused(answers: np.ndarray, words: list[str]) -> None:
    target = np.array([0, 0, 1, 1])
    with refusal("The candidate", *words):
        decide(target, answers, None, 0.975, 0)
    with refusal("The candidate", *words):
        decide(target, answers, GOOD, 0.975, 0)
    with refusal("The champion", *words):
        decide(target, GOOD, answers, 0.975, 0)


def test_a_comparison_without_error_has_bounds_at_the_difference() -> None:
    comparison = Comparison(0.9, 0.8, 0.1, 0.0, 0.0)
    assert comparison.lower_bound(0.99) == comparison.upper_bound(0.99) == 0.1
    assert math.isfinite(comparison.lower_bound(0.999999))
