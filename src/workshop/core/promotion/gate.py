"""The gate: is the candidate better than the champion, with which confidence, and does any guard fail?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from workshop.core.parameters import Terms
from workshop.core.promotion import auc, guards
from workshop.core.promotion.auc import Comparison, PairedScores
from workshop.core.promotion.outcome import Decision, Guard, Looks, Verdict
from workshop.core.promotion.texts import compared


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
    if candidate is None or any(guard.failed for guard in checked):
        return Decision("refused", _findings(checked), **basis, guards=checked, looks=looks)
    if champion is None:
        area = auc.area(target, candidate)
        reason = f"AUC {area:.3f} (nothing to compare with: no version holds Production yet)."
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
    failed = _findings(checked)
    if comparison.difference == 0 and comparison.standard_error == 0:
        area = f"{comparison.auc_champion:.3f}"
        return "not better", f"AUC {area} vs {area}: +0.000 (the candidate ranks all wines as the champion does)."
    figures = f"{compared(comparison, 'lower', confidence, min_improvement)}. {failed}".rstrip()
    if comparison.lower_bound(confidence) <= min_improvement:
        return "not better", figures
    return "vetoed" if failed else "better", figures


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
    needed, once = auc.percent(looks.corrected_confidence), f"{100 * (1 - terms.confidence):.3g} %"
    spent = f"{100 * (1 - looks.corrected_confidence):.2g} %"
    note = f"This is comparison {number} on the same production wines, look {number} for short."
    if terms.correct_for_looks:
        return [
            f"{note} Its confidence of {needed} adds at most {spent} to the chance of promoting a model that is no "
            f"better, which stays at {once} if all looks are corrected."
        ]
    chance = f"{100 * looks.false_promotion_chance:.3g} %"
    return [
        f"{note} Each look is another chance of promoting a model that is no better: {once} with one look, up to "
        f"{chance} with {number}. Compare on new production wines, or run with -p correct_for_looks=true: this look "
        f"then needs {needed} confidence, and adds at most {spent}."
    ]


def _findings(checked: Sequence[Guard]) -> str:
    return " ".join(guard.finding for guard in checked if guard.failed)
