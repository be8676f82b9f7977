import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm
from sklearn.metrics import roc_auc_score

from workshop.core.promotion.auc import Comparison, area, compare_auc

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]

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
def scored_rows(draw: st.DrawFn) -> Rows:
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


@pytest.mark.parametrize(("scores", "area", "standard_error"), [(KG, 0.7258, 0.1028), (PROTEIN, 0.6478, 0.1000)])
def test_area_and_standard_error_are_the_published_ones(scores: np.ndarray, area: float, standard_error: float) -> None:
    assert (len(POPIND), POPIND.sum()) == (43, 31)
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
def test_the_comparison_from_ranks_is_the_one_of_the_definition(rows: Rows) -> None:
    target, candidate, champion = rows
    found = compare_auc(target, candidate, champion)
    areas, covariance = delong_by_definition(target, [candidate, champion])
    assert [found.auc_candidate, found.auc_champion] == pytest.approx(areas)
    assert found.auc_candidate == pytest.approx(roc_auc_score(target, candidate)) == area(target, candidate)
    assert found.difference == pytest.approx(areas[0] - areas[1], abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.standard_error**2 == pytest.approx(variance, abs=1e-12)


@given(scored_rows())
def test_swapping_the_models_turns_the_comparison_around(rows: Rows) -> None:
    target, candidate, champion = rows
    one, other = compare_auc(target, candidate, champion), compare_auc(target, champion, candidate)
    assert one.difference == -other.difference
    assert (one.auc_candidate, one.auc_champion) == (other.auc_champion, other.auc_candidate)
    assert one.standard_error**2 == pytest.approx(other.standard_error**2, abs=1e-12)
    assert one.lower_bound(0.9) == pytest.approx(-other.upper_bound(0.9), abs=1e-6)


@given(scored_rows(), st.floats(0.51, 0.999), st.floats(0.51, 0.999))
def test_the_bounds_move_apart_with_confidence_and_agree_with_the_p_value(rows: Rows, one: float, other: float) -> None:
    comparison = compare_auc(*rows)
    less, more = sorted((one, other))
    lower = comparison.lower_bound(more)
    assert lower <= comparison.lower_bound(less) <= comparison.difference
    assert comparison.upper_bound(more) >= comparison.upper_bound(less) >= comparison.difference
    assert 0 <= comparison.p_value <= 1
    if abs(lower) > 1e-6:
        assert (comparison.p_value < 1 - more) == (lower > 0)


# How many rows it takes


@given(st.floats(0.001, 0.2), st.floats(0.001, 0.4), st.floats(0.51, 0.999), st.floats(0.51, 0.99))
def test_with_that_many_rows_the_difference_is_detected_with_the_given_power(
    standard_error: float, difference: float, confidence: float, power: float
) -> None:
    # The lower bound exceeds 0 where the estimate exceeds z(confidence) errors: that happens with this probability.
    share = Comparison(0.8, 0.7, 0.1, standard_error, 0.0).share_of_rows_needed(difference, confidence, power)
    shrunk = standard_error / math.sqrt(share)
    assert norm.sf(norm.ppf(confidence), difference / shrunk) == pytest.approx(power)
