"""The hot swap: Production changes hands in one call, is looked at as a consumer would, and goes back if need be.

Before the call the swap is written down as intended; after it each step can be repeated. So a crash at any point leaves
Production held, and whoever comes next finishes or drops what was half done.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from filelock import Timeout

from workshop.core.data.tables import production_table
from workshop.core.errors import WorkshopError
from workshop.core.promotion import lease
from workshop.core.promotion.history import Event, History
from workshop.core.promotion.lease import Lease
from workshop.core.promotion.outcome import TAG_IN_PRODUCTION
from workshop.core.registry.model import LoadedModel, load_as_a_consumer, load_version
from workshop.core.registry.slots import Slot, Slots

STATUS_TAG = "workshop.status"
DECISION_TAG = "workshop.decision"
_SAMPLE_ROWS = 100
_log = logging.getLogger("workshop")


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
    problem = _look_through_the_slot(mine.slots, event.version, trial)
    if not problem:
        return _finish(mine, event)
    holder = _return(mine, event, problem, may_leave_it_empty=event.champion is None)
    kept = f"version {holder} holds it again" if holder else "nothing holds it"
    raise WorkshopError(
        f"Version {event.version} took Production but did not answer there as before ({problem.rstrip('.')}), so "
        f"{kept}: find out what differs between the version and the slot before you promote it again."
    )


def finish_or_drop(mine: Turn) -> None:
    """Bring what a crash has interrupted to its end: finish it if its slot has moved, forget it if not.

    It must not keep anybody from what they came for: what can't be brought to its end now is left to the next run.
    """
    for event in mine.history.pending():
        try:
            _finish_or_drop(mine, event)
        except WorkshopError as error:
            _log.warning("An earlier %s could not be brought to its end: %s", event.title, error)


def trial_of(model: LoadedModel) -> Trial | None:
    """Have a model answer its own input example, or some production wines where it has none; None without either.

    Raises:
        WorkshopError: it does not answer.
    """
    sample = model.example
    if sample is None:
        if not production_table().exists():
            return None
        sample = production_table().read().frame.head(_SAMPLE_ROWS)
    return Trial(sample, model.probabilities(sample))


def describe(slots: Slots, version: str, event: Event, status: str) -> None:
    """Say on the version itself, where the team looks, what was decided about it; the history has it already."""
    try:
        if slots.exists(version):
            slots.tag(version, {STATUS_TAG: status, DECISION_TAG: event.reason})
            slots.add_to_description(version, _line(event))
    except WorkshopError as error:
        _log.warning("The %s is recorded, but not on the version itself: %s", event.title, error)


def _line(event: Event) -> str:
    return f"{event.at[:19]}Z {event.title} by {event.who}: {event.reason}"


def _finish_or_drop(mine: Turn, event: Event) -> None:
    slots, version = mine.slots, event.version
    if slots.holder(Slot.STAGING if event.kind == "staging" else Slot.PRODUCTION) != version:
        mine.history.conclude(event, "returned" if event.problem else "dropped", event.problem)
    elif event.kind == "staging":
        describe(slots, version, event, "staged")
        mine.history.conclude(event, "done")
    elif problem := _what_is_wrong_with(slots, version):
        # That it can't be tried may be this machine's fault, so a working version is never exchanged for nothing.
        holder = _return(mine, event, problem, may_leave_it_empty=False)
        _log.warning("The %s did not hold (%s): version %s has Production again.", event.title, problem, holder)
    else:
        _finish(mine, event)


def _finish(mine: Turn, event: Event) -> Event:
    """What follows a swap that has been looked at; each step can be repeated."""
    slots, old = mine.slots, event.champion
    mine.lease.renew()
    if old is not None and slots.exists(old) and slots.holder(Slot.PRODUCTION) == event.version:
        slots.assign(Slot.PREVIOUS, old)
        slots.archive(old)
        describe(slots, old, event, "archived")
    # With a lease that it has outlived, another machine may have promoted a version that ours has then replaced.
    for overtaken in set(slots.versions_tagged(STATUS_TAG, "promoted")) - {event.version, *slots.archived()}:
        slots.archive(overtaken)
    describe(slots, event.version, event, TAG_IN_PRODUCTION[event.kind])
    return mine.history.conclude(event, "done")


def _return(mine: Turn, event: Event, problem: str, *, may_leave_it_empty: bool) -> str | None:
    """Give Production back, in one call, to a version that held it before and can be loaded.

    Returns:
        Who holds Production then.

    Raises:
        WorkshopError: there is no such version, so Production is left as it is, for the next run to look at.
    """
    slots = mine.slots
    mine.history.suspect(event, problem)
    mine.lease.renew()
    if slots.holder(Slot.PRODUCTION) == event.version:  # or else somebody has seen to it meanwhile
        before = [each for each in (event.champion, slots.holder(Slot.PREVIOUS)) if each and each != event.version]
        back = next((each for each in before if _loads(slots, each)), None)
        if back is not None:
            slots.assign(Slot.PRODUCTION, back)
        elif may_leave_it_empty:
            slots.release(Slot.PRODUCTION)
        else:
            raise WorkshopError(
                f"Version {event.version} holds Production and does not answer there as it should "
                f"({problem.rstrip('.')}), and no version that held it before can be loaded: look at the registry's "
                "artifacts, or promote a version that works."
            )
    slots.archive(event.version)
    describe(slots, event.version, replace(event, reason=f"{event.reason} Returned: {problem}"), "returned")
    mine.history.conclude(event, "returned", problem)
    return slots.holder(Slot.PRODUCTION)


def _look_through_the_slot(slots: Slots, version: str, trial: Trial) -> str:
    """What is wrong with the slot in the eyes of a consumer; empty where nothing is."""
    try:
        answers = load_as_a_consumer(slots.uri(Slot.PRODUCTION), version).probabilities(trial.sample)
    except WorkshopError as error:
        return str(error)
    if not np.array_equal(answers, trial.answers):
        return f"its answers to {len(trial.sample)} rows are not the same"
    return ""


def _what_is_wrong_with(slots: Slots, version: str) -> str:
    """The same, for a version of which nobody remembers what it answered before."""
    try:
        trial = trial_of(load_version(slots.client, slots.model_name, version))
    except WorkshopError as error:
        return str(error)
    return _look_through_the_slot(slots, version, trial) if trial is not None else ""


def _loads(slots: Slots, version: str) -> bool:
    try:
        load_version(slots.client, slots.model_name, version)
    except WorkshopError:
        return False
    return True
