"""The next look at the production wines, from the history of the earlier ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from workshop.core.promotion.event import Event
from workshop.core.promotion.history import History
from workshop.core.promotion.looks import Budget, Look, Wealth


def next_look(
    history: History, rows_digest: str, champion: str | None, wines: pd.DataFrame, answers: np.ndarray
) -> Look:
    """Return the look for a comparison, which has not been made yet.

    If the same answers were compared with the same champion on the same rows before, it is that look again: a test that
    is only repeated, as by a run after a crash, needs no more confidence and spends nothing.

    Args:
        history: of the registered model.
        rows_digest: of the table.
        champion: the version to compare with.
        wines: the rows, prepared.
        answers: the candidate's probabilities, shape `(rows,)`.
    """
    test = hashlib.sha256(f"{rows_digest} {champion} ".encode() + answers.tobytes()).hexdigest()[:16]
    for earlier in history.looks(test):
        if (look := look_of(earlier)) is not None:
            return replace(look, repeats=True)
    if (latest := _latest(history)) is not None:
        event, wealth = latest
        return Look.drawing_on(*wealth.on(wines), test=test, follows=event.id)
    return Look.drawing_on(*_before_looks_were_recorded(history, rows_digest, wines).on(wines), test=test)


def is_current(look: Look, history: History) -> bool:
    """Return whether no look has been recorded since this one was found."""
    if look.wealth is None or look.repeats:
        return True
    latest = _latest(history)
    return look.follows == (latest[0].id if latest is not None else "")


def _latest(history: History) -> tuple[Event, Wealth] | None:
    """Return the newest look whose record is whole, and what it has left; None if there is none."""
    for event in history.looks():
        look, decision = look_of(event), event.decision or {}
        if look is not None and look.wealth is not None and "confidence" in decision:
            promoted = event.kind == "promotion" and event.state in {"intended", "done"}
            return event, look.wealth.after(1 - decision["confidence"], promoted=promoted)
    return None


def look_of(event: Event) -> Look | None:
    """Return the look that an event records; None if it records none, or a damaged one."""
    try:
        return None if event.look is None else Look.from_dict(event.look)
    except ValueError:
        return None


def _before_looks_were_recorded(history: History, rows_digest: str, wines: pd.DataFrame) -> Wealth:
    """Return the wealth after the comparisons on the same table that older histories contain, each as a look."""
    found = [(event.kind, event.decision or {}) for event in history.compared_on(rows_digest)]
    made = [(kind, decision) for kind, decision in found if _is_old(decision)]
    if not made:
        return Wealth()
    seen, _ = Wealth().on(wines)
    return replace(
        seen,
        looks=len(made),
        promotions=sum(kind == "promotion" for kind, _ in made),
        budgets=(Budget(0, 1.0),),
        spent=sum(1 - decision["confidence"] for _, decision in made),
    )


def _is_old(decision: Mapping[str, Any]) -> bool:
    """Return whether a decision is whole, and from before looks were recorded."""
    return "confidence" in decision and "spends" not in decision.get("looks", {})
