"""The gate: is the candidate better than the champion, how sure can we be, and does anything speak against it?"""

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


def decide(  # noqa: PLR0913  # each is a fact of its own
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
        candidate: the candidate's probabilities, shape `(rows,)`; None where a guard in `checked` has failed before
            it could answer.
        champion: the champion's, or None where no model holds Production: then the candidate becomes the baseline.
        terms: what is asked for.
        slices: by name, which rows are in each slice; bool, shape `(rows,)`.
        checked: the guards that have been tried already.
        look: how many comparisons on these very rows there have been, this one included.
    """
    target = np.asarray(target)
    checked = [*checked, guards.both_kinds(target)] if candidate is not None else [*checked]
    looks = _looks(look, terms)
    basis: dict[str, Any] = {
        "rows": len(target),
        "positives": auc.kinds(target)[0],
        "confidence": looks.corrected_confidence if terms.correct_for_looks else terms.confidence,
        "min_improvement": terms.min_improvement,
    }
    if candidate is None or any(not guard.passed for guard in checked):
        reason = f"The candidate is refused: {_findings(checked)}"
        return Decision("refused", reason, **basis, guards=checked, looks=looks)
    if champion is None:
        area = auc.area(target, candidate)
        reason = f"No model holds Production yet, so the candidate, with an AUC of {area:.4f}, has nothing to beat."
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
            f"The candidate is not better: it ranks the rows just as the champion does, with an AUC of {area:.4f}.",
        )
    lower = comparison.lower_bound(confidence)
    figures = (
        f"AUC {comparison.auc_candidate:.4f} against {comparison.auc_champion:.4f}, a difference of "
        f"{comparison.difference:+.4f} that is at least {lower:+.4f} with {auc.percent(confidence)} confidence"
    )
    against = _findings(checked)
    if lower <= min_improvement:
        also = f" And: {against}" if against else ""
        return (
            "not better",
            f"The candidate is not better: {figures}, and more than {min_improvement:g} is asked for.{also}",
        )
    if against:
        return "vetoed", f"The candidate is better overall ({figures}), but: {against}"
    return "better", f"The candidate is better: {figures}, and more than {min_improvement:g} is asked for."


def _looks(number: int, terms: Terms) -> Looks:
    """The error rate after that many looks, at most, and the confidence that would hold it.

    The allowed error is spent in parts of 1/(k(k+1)), which add up to 1 over all looks k: an alpha-spending sequence
    for a number of looks that nobody knows beforehand (Foster & Stine 2008, "Alpha-investing", J. R. Stat. Soc. B
    70:429-444, has the idea; the parts here are added up by Bonferroni's inequality, which needs no independence).
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
            f"This is look {number} at these production wines; its confidence of "
            f"{auc.percent(looks.corrected_confidence)} keeps the chance of a false "
            f"promotion over all looks at {1 - terms.confidence:.2g}."
        ]
    return [
        f"This is look {number} at these production wines: the chance that any of {number} looks at candidates that "
        f"are no better promotes one is up to {100 * looks.false_promotion_chance:.3g}%, not "
        f"{100 * (1 - terms.confidence):.3g}%. "
        f"correct_for_looks would ask for {auc.percent(looks.corrected_confidence)} confidence this time; new "
        "production wines start the count again."
    ]


def _findings(checked: Sequence[Guard]) -> str:
    return " ".join(guard.finding for guard in checked if not guard.passed)
