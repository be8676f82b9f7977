"""The gate: is the candidate better than the champion, with which confidence, and does any guard fail?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from workshop.core.parameters import Terms
from workshop.core.promotion import auc, guards
from workshop.core.promotion.auc import Comparison, PairedScores
from workshop.core.promotion.looks import ALONE, Look
from workshop.core.promotion.outcome import Decision, Guard, Looks, Verdict
from workshop.core.promotion.texts import compared, percent


@dataclass(frozen=True)
class Judgement:
    """A decision with the arrays that it was made from, for drawing or repeating it."""

    decision: Decision
    champion_version: str | None
    target: np.ndarray
    candidate: np.ndarray | None = None
    """The candidate's probabilities; None if it was refused before it answered."""
    champion: np.ndarray | None = None
    look: Look = ALONE
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
    look: Look = ALONE,
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
        look: the share of the allowed error that this comparison has.
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
        # Whether the rows suffice does not depend on how often they were looked at.
        guards.enough_rows(target, comparison, terms.detectable_improvement, terms.confidence),
        *guards.no_slice_worse(
            PairedScores(target, candidate, champion), slices or {}, terms.confidence, terms.slice_tolerance
        ),
    ]
    verdict, reason = _verdict(comparison, confidence, terms.min_improvement, checked)
    corrected_bound, spends = comparison.lower_bound(looks.corrected_confidence), _spends(comparison, look)
    notes = [_note_on_look(looks, terms)] if spends else []
    if look.repeats:
        notes.append(f"The same comparison was made before: it is look {look.number} again, on the same terms.")
    if verdict == "not better" and comparison.standard_error > 0:
        notes.append(_note_on_what_suffices(comparison, confidence, terms.min_improvement, len(target)))
    return Decision(
        verdict,
        reason,
        **basis,
        guards=checked,
        looks=replace(looks, corrected_lower_bound=corrected_bound, spends=spends),
        **asdict(comparison),
        lower_bound=comparison.lower_bound(confidence),
        upper_bound=comparison.upper_bound(confidence),
        notes=notes,
    )


def _verdict(
    comparison: Comparison, confidence: float, min_improvement: float, checked: Sequence[Guard]
) -> tuple[Verdict, str]:
    failed = _findings(checked)
    if _same_ranks(comparison):
        area = f"{comparison.auc_champion:.3f}"
        return "not better", f"AUC {area} vs {area}: +0.000 (the candidate ranks all wines as the champion does)."
    figures = f"{compared(comparison, 'lower', confidence, min_improvement)}. {failed}".rstrip()
    if comparison.lower_bound(confidence) <= min_improvement:
        return "not better", figures
    return "vetoed" if failed else "better", figures


def _looks(look: Look, terms: Terms) -> Looks:
    """Return the looks before the comparison is made, so without its bound."""
    error = 1 - terms.confidence
    corrected = 1 - error * look.share
    own = 1 - corrected if terms.correct_for_looks else error
    return Looks(
        number=look.number,
        false_promotion_chance=min(1.0, look.spent_before + own),
        corrected_confidence=corrected,
        corrected=terms.correct_for_looks,
        new_wines=look.new_wines,
        more_looks=look.more_looks,
    )


def _spends(comparison: Comparison, look: Look) -> bool:
    """Return whether the comparison is a test: one whose outcome was not certain before it was made."""
    return look.wealth is not None and not look.repeats and not _same_ranks(comparison)


def _same_ranks(comparison: Comparison) -> bool:
    return comparison.difference == 0 and comparison.standard_error == 0


def _note_on_look(looks: Looks, terms: Terms) -> str:
    error = f"{100 * (1 - terms.confidence):.3g} %"
    asked, once = percent(looks.corrected_confidence), percent(terms.confidence)
    seen = "" if looks.new_wines in {0, 1} else f" ({100 * looks.new_wines:.2g} % of them are new)"
    if not looks.corrected:
        chance = f"{100 * looks.false_promotion_chance:.3g} %"
        return (
            f"This is look {looks.number} at these production wines{seen}, and the correction for repeated looks is "
            f"off: the chance that one of them promotes a model that is no better is up to {chance}. With "
            f"-p correct_for_looks=true, this look needs {asked} confidence."
        )
    return (
        f"Look {looks.number} at these production wines{seen} needs {asked} confidence instead of {once}, so that at "
        f"most {error} of all promotions are expected to be of models that are no better. {_looks_left(looks)}"
    )


def _looks_left(looks: Looks) -> str:
    more = "new wines, and each promotion after the first, add more"
    if not looks.more_looks:
        return f"The next look needs much more confidence; {more}."
    return f"{looks.more_looks} more {'look is' if looks.more_looks == 1 else 'looks are'} left; {more}."


def _note_on_what_suffices(comparison: Comparison, confidence: float, min_improvement: float, rows: int) -> str:
    """Return what would have made the candidate better: a larger difference, or the same one on more wines."""
    beyond = comparison.difference - min_improvement
    needed = comparison.difference - comparison.lower_bound(confidence) + min_improvement
    note = f"On these {rows:,} wines, a difference above {needed:+.3f} would have sufficed"
    if beyond <= 0:
        return f"{note}."
    wines = math.ceil(rows * ((needed - min_improvement) / beyond) ** 2)
    return f"{note}, or this difference on about {_two_digits(wines):,} wines."


def _two_digits(count: int) -> int:
    """Round a count up to two digits, as it is an estimate."""
    unit = int("1".ljust(len(str(count)) - 1, "0"))
    return math.ceil(count / unit) * unit


def _findings(checked: Sequence[Guard]) -> str:
    return " ".join(guard.finding for guard in checked if guard.failed)
