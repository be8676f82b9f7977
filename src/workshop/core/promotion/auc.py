"""Comparison of two models' AUC on the same rows.

Models that are scored on the same rows make correlated errors, so their AUCs must not be compared as if each had its
own rows. DeLong's method takes the correlation into account.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

SMALLEST_CLASS = 2
"""Fewest positives, and fewest negatives, with which the variance of an AUC can be estimated."""


@dataclass(frozen=True)
class Comparison:
    """The paired comparison of two models' AUC on the same rows; differences are candidate minus champion."""

    auc_candidate: float
    auc_champion: float
    difference: float
    standard_error: float
    p_value: float
    """One-sided: the probability that a candidate that is no better would look at least this good."""

    def lower_bound(self, confidence: float) -> float:
        """Return the one-sided lower confidence bound of the difference."""
        return self.difference - float(norm.ppf(confidence)) * self.standard_error

    def upper_bound(self, confidence: float) -> float:
        """Return the one-sided upper confidence bound of the difference."""
        return self.difference + float(norm.ppf(confidence)) * self.standard_error

    def share_of_rows_needed(self, difference: float, confidence: float, power: float) -> float:
        """Return the factor by which the rows must grow to detect a true difference of that size.

        The standard error shrinks with the square root of the rows; the difference is detected with probability
        `power` if it is `z(confidence) + z(power)` standard errors large.
        """
        reach = float(norm.ppf(confidence) + norm.ppf(power)) * self.standard_error
        return (reach / difference) ** 2


@dataclass(frozen=True)
class PairedScores:
    """The labels of some rows and the scores of two models for them; each of shape `(rows,)`."""

    target: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray

    def subset(self, mask: np.ndarray) -> "PairedScores":
        """Return the labels and scores of the rows in the mask."""
        return PairedScores(self.target[mask], self.candidate[mask], self.champion[mask])


def compare_auc(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> Comparison:
    """Compare two models' AUC on the same rows.

    DeLong, DeLong & Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", Biometrics 44:837-845; computed from ranks, in n log n, as in
    Sun & Xu 2014, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21:1389-1393.

    Args:
        target: the labels, 0 or 1, with at least two of each; shape `(rows,)`.
        candidate: the candidate's scores, shape `(rows,)`.
        champion: the champion's scores, shape `(rows,)`.
    """
    positive = np.asarray(target) == 1
    by_positive, by_negative = zip(_components(positive, candidate), _components(positive, champion), strict=True)
    areas = np.array([component.mean() for component in by_positive])
    covariance = np.cov(by_positive) / len(by_positive[0]) + np.cov(by_negative) / len(by_negative[0])
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    standard_error = float(np.sqrt(max(variance, 0.0)))
    return Comparison(
        auc_candidate=float(areas[0]),
        auc_champion=float(areas[1]),
        difference=difference,
        standard_error=standard_error,
        p_value=float(norm.sf(difference / standard_error)) if standard_error > 0 else float(difference <= 0),
    )


def area(target: np.ndarray, scores: np.ndarray) -> float:
    """Return one model's AUC; the rows must have both classes."""
    return float(_components(np.asarray(target) == 1, scores)[0].mean())


def class_counts(target: np.ndarray) -> tuple[int, int]:
    """Return the number of positive and of negative rows."""
    positives = int(np.asarray(target).sum())
    return positives, len(target) - positives


def _components(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each positive row the share of negatives below it, for each negative the share of positives above it.

    Ties count half. The mean of either is the AUC; DeLong's estimate is made of their variances.
    """
    positives, negatives = scores[positive], scores[~positive]
    ranks = rankdata(scores)
    outranked = (ranks[positive] - rankdata(positives)) / len(negatives)
    outranking = 1 - (ranks[~positive] - rankdata(negatives)) / len(positives)
    return outranked, outranking
