"""The gate: is the candidate better than the champion, and how sure can we be?

Two models that are scored on the same rows make correlated mistakes, so their AUCs can't be compared as if each had
its own rows. DeLong's method takes the correlation into account.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import norm, rankdata

from workshop.core.errors import WorkshopError

Verdict = Literal["better", "not better", "baseline"]

FEWEST_OF_A_KIND = 2
"""Positives, and negatives, below which an AUC has no variance to estimate."""


@dataclass(frozen=True)
class Comparison:
    """The paired comparison of two models' AUC on the same rows; differences are candidate minus champion."""

    auc_candidate: float
    auc_champion: float
    difference: float
    standard_error: float
    p_value: float
    """One-sided: how often a candidate that is no better would look at least this good."""

    def lower_bound(self, confidence: float) -> float:
        """The one-sided lower confidence bound of the difference."""
        return self.difference - float(norm.ppf(confidence)) * self.standard_error

    def upper_bound(self, confidence: float) -> float:
        """The one-sided upper confidence bound of the difference."""
        return self.difference + float(norm.ppf(confidence)) * self.standard_error


@dataclass(frozen=True)
class Decision:
    """What the gate says, with every figure that it rests on."""

    verdict: Verdict
    reason: str
    rows: int
    positives: int
    confidence: float
    min_improvement: float
    auc_candidate: float
    auc_champion: float | None = None
    difference: float | None = None
    standard_error: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    p_value: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the candidate may take the slot."""
        return self.verdict != "not better"

    def as_dict(self) -> dict[str, Any]:
        """The decision as JSON types."""
        return asdict(self)


def decide(
    target: np.ndarray,
    candidate: np.ndarray,
    champion: np.ndarray | None,
    confidence: float,
    min_improvement: float,
) -> Decision:
    """Decide whether the candidate is better than the champion on the rows that both were scored on.

    Args:
        target: the labels, 0 or 1, shape `(rows,)`.
        candidate: the candidate's probabilities, shape `(rows,)`.
        champion: the champion's, or None where no model holds Production: then the candidate becomes the baseline.
        confidence: how sure to be, one-sided; above 0.5 and below 1.
        min_improvement: the AUC difference that the lower confidence bound must exceed.

    Raises:
        WorkshopError: the rows can't tell (one class only), or a model's answer is no probability.
    """
    target = np.asarray(target)
    positives = int(target.sum())
    if min(positives, len(target) - positives) < FEWEST_OF_A_KIND:
        raise WorkshopError(
            f"Of the {len(target)} wines to compare on, {positives} are of high quality and {len(target) - positives} "
            "are not, so no model can be told from another: use a table with enough of both kinds."
        )
    require_probabilities(candidate, len(target), "candidate")
    basis = {"rows": len(target), "positives": positives, "confidence": confidence, "min_improvement": min_improvement}
    if champion is None:
        area = float(_components(target == 1, candidate)[0].mean())
        reason = f"No model holds Production yet, so the candidate, with an AUC of {area:.4f}, has nothing to beat."
        return Decision("baseline", reason, **basis, auc_candidate=area)  # type: ignore[arg-type]
    require_probabilities(champion, len(target), "champion")
    comparison = compare_auc(target, candidate, champion)
    lower = comparison.lower_bound(confidence)
    verdict: Verdict = "better" if lower > min_improvement else "not better"
    return Decision(
        verdict,
        _reason(comparison, lower, confidence, min_improvement),
        **basis,  # type: ignore[arg-type]
        **asdict(comparison),
        lower_bound=lower,
        upper_bound=comparison.upper_bound(confidence),
    )


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


def _components(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive row the share of negatives that it outranks, for each negative that of positives above it.

    Ties count half. The mean of either is the AUC; their variances are what DeLong's estimate is made of.
    """
    positives, negatives = scores[positive], scores[~positive]
    ranks = rankdata(scores)
    outranked = (ranks[positive] - rankdata(positives)) / len(negatives)
    outranking = 1 - (ranks[~positive] - rankdata(negatives)) / len(positives)
    return outranked, outranking


def require_probabilities(scores: np.ndarray, rows: int, whose: str) -> None:
    """Make sure that a model's answers are probabilities, one a row.

    Raises:
        WorkshopError: they are not.
    """
    scores = np.asarray(scores)
    if scores.shape != (rows,):
        raise WorkshopError(f"The {whose} gave answers of shape {scores.shape} for {rows} rows: it needs one a row.")
    if not np.all(np.isfinite(scores)):
        raise WorkshopError(f"The {whose} answered with NaN or infinity: train it again on data without gaps.")
    if rows and (scores.min() < 0 or scores.max() > 1):
        raise WorkshopError(
            f"The {whose} answered with {scores.min():g} to {scores.max():g}: probabilities are 0 to 1."
        )


def _reason(comparison: Comparison, lower: float, confidence: float, min_improvement: float) -> str:
    if comparison.difference == 0 and comparison.standard_error == 0:
        area = comparison.auc_champion
        return f"The candidate is not better: it ranks the rows just as the champion does, with an AUC of {area:.4f}."
    figures = (
        f"AUC {comparison.auc_candidate:.4f} against {comparison.auc_champion:.4f}, a difference of "
        f"{comparison.difference:+.4f} that is at least {lower:+.4f} with {100 * confidence:g}% confidence"
    )
    if lower > min_improvement:
        return f"The candidate is better: {figures}, and more than {min_improvement:g} is asked for."
    return f"The candidate is not better: {figures}, and more than {min_improvement:g} is asked for."
