"""Making a recorded decision again, from nothing but its record."""

from typing import Any

from mlflow import MlflowClient

from workshop.core.data import datasets
from workshop.core.errors import WorkshopError
from workshop.core.parameters import Terms
from workshop.core.promotion.evaluate import Contest, compare
from workshop.core.promotion.history import Event
from workshop.core.registry.slots import Slot, open_slots

_NOT_FROM_THE_COMPARISON = ("notes", "guards")


def replay(client: MlflowClient, model_name: str, event: Event) -> list[str]:
    """Compute the decision of an event again: same versions, same rows, same terms.

    Returns:
        What differs from the record, one phrase each; empty where every figure is the same.

    Raises:
        WorkshopError: nothing was decided in that event, or its models or rows are not there any more.
    """
    if event.decision is None or event.terms is None:
        raise WorkshopError(
            f"The {event.title} was a person's, so there is no decision to compute again: it was done by {event.who}, "
            f"because: {event.reason.rstrip('.')}."
        )
    slots, rows = open_slots(client, model_name), datasets.rows_compared_on(event.rows)
    if gone := [version for version in (event.version, event.champion) if version and not slots.exists(version)]:
        raise WorkshopError(f"Version {gone[0]} is not there any more, so the decision can't be computed again.")
    if rows.digest != event.rows_digest:
        raise WorkshopError(
            f"{event.rows} is not the table here that the decision was made on: replay it in the home where it was "
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
    again = compare(contest, event.champion, event.decision["looks"]["number"]).decision.as_dict()
    return [*_differences(event.decision, again), *_differences(_by_guard(event.decision), _by_guard(again))]


def _differences(recorded: dict[str, Any], computed: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {recorded.get(name)} is recorded, {computed.get(name)} comes out"
        for name in sorted({*recorded, *computed} - {*_NOT_FROM_THE_COMPARISON})
        if recorded.get(name) != computed.get(name)
    ]


def _by_guard(decision: dict[str, Any]) -> dict[str, Any]:
    """Each guard's result and figures; its finding says the same in words."""
    return {guard["name"]: (guard["passed"], dict(guard["figures"])) for guard in decision["guards"]}
