"""Confidences and comparisons of two AUCs in short; the report needs them, and not scipy."""

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from workshop.core.promotion.auc import Comparison

_FEWEST_DIGITS = 3
_MOST_DIGITS = 15


def percent(confidence: float) -> str:
    """Format a confidence as a percentage, with two digits of its distance to 1, so that only 1 becomes 100 %."""
    digits = max(1, 1 - math.floor(math.log10(100 * max(1 - confidence, 1e-15))))
    return f"{100 * confidence:.{digits}f}".rstrip("0").rstrip(".") + " %"


def compared(
    comparison: "Comparison", side: Literal["lower", "upper"], confidence: float, limit: float, where: str = ""
) -> str:
    """Return a comparison in short, as in `AUC 0.844 vs 0.810: +0.034 (97.5 % lower bound +0.013; needs > 0)`.

    The figures have three digits, or as many as show on which side of the limit the bound is.

    Args:
        comparison: of candidate and champion.
        side: the bound that decides: the lower one must exceed the limit, the upper one must reach it.
        confidence: one-sided, of the bound.
        limit: for the bound.
        where: the rows, as in ` on red wines`.
    """
    bound = comparison.lower_bound(confidence) if side == "lower" else comparison.upper_bound(confidence)
    enough = (
        digits
        for digits in range(_FEWEST_DIGITS, _MOST_DIGITS)
        if _order(round(bound, digits), limit) == _order(bound, limit)
    )
    digits = next(enough, _MOST_DIGITS)
    candidate, champion = (f"{area:.{digits}f}" for area in (comparison.auc_candidate, comparison.auc_champion))
    difference, shown = (f"{figure:+z.{digits}f}" for figure in (comparison.difference, bound))
    needs = f"{'>' if side == 'lower' else '≥'} {_number(limit)}"
    return (
        f"AUC {candidate} vs {champion}{where}: {difference} "
        f"({percent(confidence)} {side} bound {shown}; needs {needs})"
    )


def _order(one: float, other: float) -> int:
    return (one > other) - (one < other)


def _number(value: float) -> str:
    """Return the number with the fewest digits that mean it, without a sign on zero."""
    short = f"{value or 0.0:g}"
    return short if float(short) == value else repr(value)
