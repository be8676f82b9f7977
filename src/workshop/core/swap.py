"""The hot swap: Production changes hands in one call, is looked at as a consumer would, and goes back if need be.

Before the call the swap is written down as intended; after it each step can be repeated. So a crash at any point leaves
Production held, and whoever comes next finishes or drops what was half done.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from filelock import Timeout

from workshop.core import lease
from workshop.core.errors import WorkshopError
from workshop.core.history import Event, History, Kind
from workshop.core.lease import Lease
from workshop.core.model import LoadedModel, load_as_a_consumer, load_version
from workshop.core.slots import Slot, Slots
from workshop.core.tables import production_table

STATUS_TAG = "workshop.status"
DECISION_TAG = "workshop.decision"
IN_PRODUCTION: dict[Kind, str] = {"promotion": "promoted", "override": "promoted", "rollback": "rolled back to"}
"""What a version that took Production is tagged with."""
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class Trial:
    """What a version answered before it took the slot; it must answer the same through the slot."""

    sample: pd.DataFrame
    answers: np.ndarray


@dataclass(frozen=True)
class Turn:
    """The right to move the slots, which one run at a time has."""

    slots: Slots
    history: History
    lease: Lease


@contextmanager
def turn(slots: Slots) -> Iterator[Turn]:
    """Wait for one's turn, and bring to an end what a crash may have left half done.

    Raises:
        WorkshopError: others keep the slots for too long.
    """
    try:
        with lease.exclusive(slots.client, slots.model_name) as held:
            mine = Turn(slots, History(slots.client, slots.model_name), held)
            finish_or_drop(mine)
            yield mine
    except Timeout as error:
        raise WorkshopError(
            f"Another run has been changing the slots of {slots.model_name} for over a minute: wait for it to end, "
            "then run again."
        ) from error


def swap(mine: Turn, event: Event, trial: Trial) -> Event:
    """Let the event's version take Production from its champion.

    Returns:
        The event as it is recorded.

    Raises:
        WorkshopError: the registry refuses, and Production is as it was; or the version does not answer through the
            slot as before, and the champion holds Production again.
    """
    event = mine.history.append(replace(event, state="intended"))
    mine.lease.renew()
    mine.slots.assign(Slot.PRODUCTION, event.version)
    return _settle(mine, event, trial)


def finish_or_drop(mine: Turn) -> None:
    """Bring swaps that a crash has interrupted to their end: finish those whose slot has moved, forget the others."""
    for event in mine.history.pending():
        if mine.slots.holder(Slot.PRODUCTION) != event.version:
            mine.history.conclude(event, "dropped")
            continue
        try:
            trial = trial_of(load_version(mine.slots.client, mine.slots.model_name, event.version))
        except WorkshopError as error:
            _return(mine, event, str(error))
        else:
            _settle(mine, event, trial)


def trial_of(model: LoadedModel) -> Trial:
    """Have a model answer its own input example, or some production wines where it has none.

    Raises:
        WorkshopError: it does not answer, or there is nothing to ask it.
    """
    sample = model.example
    if sample is None:
        if not production_table().exists():
            raise WorkshopError(
                f"Version {model.version} has no input example and there is no production table, so it can't be tried: "
                "log it with an example."
            )
        sample = production_table().read().frame.head(_SAMPLE_ROWS)
    return Trial(sample, model.probabilities(sample))


def describe(slots: Slots, version: str, event: Event, status: str) -> None:
    """Say on the version itself, where the team looks, what was decided about it; its description only ever grows."""
    slots.tag(version, {STATUS_TAG: status, DECISION_TAG: event.reason})
    slots.add_to_description(version, _line(event))


def _line(event: Event) -> str:
    return f"{event.at[:19]}Z {event.title} by {event.who}: {event.reason}"


def _settle(mine: Turn, event: Event, trial: Trial) -> Event:
    problem = _look_through_the_slot(mine.slots, event.version, trial)
    if problem:
        _return(mine, event, problem)
        kept = f"version {event.champion} holds it again" if event.champion else "nothing holds it"
        raise WorkshopError(
            f"Version {event.version} took Production but did not answer there as before ({problem.rstrip('.')}), so "
            f"{kept}: find out what differs between the version and the slot before you promote it again."
        )
    slots, old = mine.slots, event.champion
    if old is not None and slots.exists(old):
        slots.assign(Slot.PREVIOUS, old)
        slots.archive(old)
        slots.add_to_description(old, _line(event))
    # With a lease that it has outlived, another machine may have promoted a version that ours has then replaced.
    for overtaken in set(slots.versions_tagged(STATUS_TAG, "promoted")) - {event.version, *slots.archived()}:
        slots.archive(overtaken)
    describe(slots, event.version, event, IN_PRODUCTION[event.kind])
    return mine.history.conclude(event, "done")


def _look_through_the_slot(slots: Slots, version: str, trial: Trial) -> str:
    """What is wrong with the slot in the eyes of a consumer; empty where nothing is."""
    try:
        answers = load_as_a_consumer(slots.uri(Slot.PRODUCTION), version).probabilities(trial.sample)
    except WorkshopError as error:
        return str(error)
    if not np.array_equal(answers, trial.answers):
        return f"its answers to {len(trial.sample)} rows are not the same"
    return ""


def _return(mine: Turn, event: Event, problem: str) -> None:
    """Give Production back to whoever held it before, in one call."""
    slots = mine.slots
    candidates = [event.champion, slots.holder(Slot.PREVIOUS)]
    back = next((each for each in candidates if each and each != event.version and slots.exists(each)), None)
    if back is not None:
        slots.assign(Slot.PRODUCTION, back)
    else:
        slots.release(Slot.PRODUCTION)
    slots.archive(event.version)
    describe(slots, event.version, replace(event, reason=f"{event.reason} Returned: {problem}"), "returned")
    mine.history.conclude(event, "returned", problem)
