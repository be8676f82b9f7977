"""Replay: compute a recorded decision again, from its record alone."""

from typing import Any

from mlflow import MlflowClient

from workshop.core.data import datasets
from workshop.core.errors import WorkshopError
from workshop.core.parameters import Terms
from workshop.core.promotion.evaluate import Contest, compare
from workshop.core.promotion.event import Event
from workshop.core.promotion.looks import ALONE, Look
from workshop.core.promotion.next_look import look_of
from workshop.core.registry.slots import Slot, open_slots

_NOT_COMPARED = ("notes", "guards", "reason")
"""Texts, which repeat figures, and the guards, which are compared one by one."""


def replay(client: MlflowClient, model_name: str, event: Event) -> list[str]:
    """Compute the decision of an event again: same versions, same rows, same terms.

    Returns:
        The differences from the record, one phrase each; empty if every figure is the same.

    Raises:
        WorkshopError: the event has no decision, or its models or rows no longer exist.
    """
    if event.decision is None or event.terms is None:
        raise WorkshopError(
            f"The {event.title} was made by {event.who} without a decision of the gate, so there is nothing to replay. "
            f"The reason: {event.reason.rstrip('.')}."
        )
    slots, rows = open_slots(client, model_name), datasets.rows_compared_on(event.rows)
    if gone := [version for version in (event.version, event.champion) if version and not slots.exists(version)]:
        raise WorkshopError(f"Version {gone[0]} has been deleted, so the decision can't be replayed.")
    if rows.digest != event.rows_digest:
        raise WorkshopError(
            f"{event.rows} in this home has other rows than those of the decision: replay it in the home where it was "
            "made."
        )
    contest = Contest(
        slots=slots,
        candidate=event.version,
        rows=rows,
        slot=Slot.PRODUCTION if event.kind == "promotion" else Slot.STAGING,
        terms=Terms(**event.terms),
        run_name=event.run_name,
    )
    look = look_of(event) or _unrecorded_look(event)
    again = compare(contest, event.champion, lambda *_: look).decision.as_dict()
    again["looks"] = {name: again["looks"][name] for name in event.decision["looks"]}
    return [*_differences(event.decision, again), *_differences(_by_guard(event.decision), _by_guard(again))]


def _unrecorded_look(event: Event) -> Look:
    """Return the look of an event that records none: it is not counted, or from before looks were recorded.

    Then look k had the share 1/(k(k+1)), if it was corrected, and each look before it the whole error.
    """
    looks, terms = (event.decision or {})["looks"], event.terms or {}
    if "spends" in looks:
        return ALONE
    number = looks["number"]
    return Look(number, 1 / (number * (number + 1)), spent_before=(number - 1) * (1 - terms["confidence"]))


def _differences(recorded: dict[str, Any], computed: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {recorded.get(name)} is recorded, {computed.get(name)} is computed"
        for name in sorted({*recorded, *computed} - {*_NOT_COMPARED})
        if recorded.get(name) != computed.get(name)
    ]


def _by_guard(decision: dict[str, Any]) -> dict[str, Any]:
    """Return for each guard whether it failed, and its figures; its finding only repeats them.

    Older records contain true for a guard that could not judge; the figures tell both apart.
    """
    return {guard["name"]: (guard["passed"] is not False, dict(guard["figures"])) for guard in decision["guards"]}
