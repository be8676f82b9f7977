"""The gate: is the candidate better than the champion, with which confidence, and does any guard fail?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from workshop.core.parameters import Terms
from workshop.core.promotion import auc, guards
from workshop.core.promotion.auc import Comparison, PairedScores
from workshop.core.promotion.outcome import Decision, Guard, Looks, Verdict


@dataclass(frozen=True)
class Judgement:
    """A decision with the arrays that it was made from, for drawing or repeating it."""

    decision: Decision
    champion_version: str | None
    target: np.ndarray
    candidate: np.ndarray | None = None
    """The candidate's probabilities; None if it was refused before it answered."""
    champion: np.ndarray | None = None
    drift: dict[str, float] = field(default_factory=dict)
    """The population stability index of each feature, the compared rows against the candidate's training wines."""


def decide(  # noqa: PLR0913  # each is an independent fact
    target: np.ndarray,
    candidate: np.ndarray | None,
    champion: np.ndarray | None,
    terms: Terms,
    slices: Mapping[str, np.ndarray] | None = None,
    *,
    checked: Sequence[Guard] = (),
    look: int = 1,
) -> Decision:
    """Decide whether the candidate is better than the champion on the rows that both were scored on.

    Args:
        target: the labels, 0 or 1, shape `(rows,)`.
        candidate: the candidate's probabilities, shape `(rows,)`; None if a guard in `checked` failed before it
            answered.
        champion: the champion's, or None if no model holds Production: then the candidate becomes the baseline.
        terms: of the gate.
        slices: the mask of each slice by name; bool, shape `(rows,)`.
        checked: the results of the guards that ran before.
        look: the number of comparisons on these rows, this one included.
    """
    target = np.asarray(target)
    checked = [*checked, guards.both_classes(target)] if candidate is not None else [*checked]
    looks = _looks(look, terms)
    basis: dict[str, Any] = {
        "rows": len(target),
        "positives": auc.class_counts(target)[0],
        "confidence": looks.corrected_confidence if terms.correct_for_looks else terms.confidence,
        "min_improvement": terms.min_improvement,
    }
    if candidate is None or any(not guard.passed for guard in checked):
        reason = f"The candidate is refused: {_findings(checked)}"
        return Decision("refused", reason, **basis, guards=checked, looks=looks)
    if champion is None:
        area = auc.area(target, candidate)
        reason = f"No model holds Production yet: the candidate, with an AUC of {area:.4f}, becomes the baseline."
        return Decision("baseline", reason, **basis, guards=checked, looks=looks, auc_candidate=area)
    comparison = auc.compare_auc(target, candidate, champion)
    confidence = basis["confidence"]
    checked += [
        guards.enough_rows(target, comparison, terms.detectable_improvement, confidence),
        *guards.no_slice_worse(
            PairedScores(target, candidate, champion), slices or {}, terms.confidence, terms.slice_tolerance
        ),
    ]
    verdict, reason = _verdict(comparison, confidence, terms.min_improvement, checked)
    return Decision(
        verdict,
        reason,
        **basis,
        guards=checked,
        looks=replace(looks, corrected_lower_bound=comparison.lower_bound(looks.corrected_confidence)),
        **asdict(comparison),
        lower_bound=comparison.lower_bound(confidence),
        upper_bound=comparison.upper_bound(confidence),
        notes=_notes_on_looks(looks, terms),
    )


def _verdict(
    comparison: Comparison, confidence: float, min_improvement: float, checked: Sequence[Guard]
) -> tuple[Verdict, str]:
    if comparison.difference == 0 and comparison.standard_error == 0:
        area = comparison.auc_champion
        return (
            "not better",
            f"The candidate is not better: it ranks the rows exactly as the champion does, with an AUC of {area:.4f}.",
        )
    lower = comparison.lower_bound(confidence)
    figures = (
        f"AUC {comparison.auc_candidate:.4f} against {comparison.auc_champion:.4f}, a difference of "
        f"{comparison.difference:+.4f}; the {auc.percent(confidence)} lower bound is {lower:+.4f} and must exceed "
        f"{min_improvement:g}."
    )
    failed = _findings(checked)
    if lower <= min_improvement:
        return "not better", f"The candidate is not better: {figures} {failed}".rstrip()
    if failed:
        return "vetoed", f"The candidate is better overall, but a guard failed: {failed} {figures}"
    return "better", f"The candidate is better: {figures}"


def _looks(number: int, terms: Terms) -> Looks:
    """Bound the error rate after that many looks, and compute the confidence that corrects for them.

    Look k spends the share 1/(k(k+1)) of the allowed error. The shares of all looks add up to 1: an alpha-spending
    sequence for an unknown number of looks (the idea: Foster & Stine 2008, "Alpha-investing", J. R. Stat. Soc. B
    70:429-444; the sum here uses Bonferroni's inequality, which needs no independence).
    """
    error = 1 - terms.confidence
    return Looks(
        number=number,
        false_promotion_chance=min(1.0, number * error),
        corrected_confidence=1 - error / (number * (number + 1)),
        corrected=terms.correct_for_looks,
    )


def _notes_on_looks(looks: Looks, terms: Terms) -> list[str]:
    number = looks.number
    if number == 1:
        return []
    if terms.correct_for_looks:
        return [
            f"This is look {number} at these production wines. Its confidence of "
            f"{auc.percent(looks.corrected_confidence)} keeps the chance of a false "
            f"promotion over all looks at {100 * (1 - terms.confidence):.3g}%."
        ]
    return [
        f"This is look {number} at these production wines: the chance that one of {number} looks promotes a "
        f"candidate that is no better is up to {100 * looks.false_promotion_chance:.3g}%, not "
        f"{100 * (1 - terms.confidence):.3g}%. With the parameter correct_for_looks this look would need "
        f"{auc.percent(looks.corrected_confidence)} confidence. New production wines start the count again."
    ]


def _findings(checked: Sequence[Guard]) -> str:
    return " ".join(guard.finding for guard in checked if not guard.passed)
