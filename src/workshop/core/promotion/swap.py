"""The hot swap: give Production to a version in one call, test the slot as a consumer, and undo the swap if that fails.

The swap is recorded as intended before the call; every step after it can be repeated. So Production is held after a
crash at any point, and the next run finishes or drops the unfinished swap. Servers follow the slot with
`registry.follower`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from filelock import Timeout

from kit_common.times import utc
from workshop.core.errors import WorkshopError
from workshop.core.promotion import lease
from workshop.core.promotion.event import Event
from workshop.core.promotion.history import History
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
    """The answers of a version before it took the slot; through the slot it must give the same ones."""

    sample: pd.DataFrame
    answers: np.ndarray


@dataclass(frozen=True)
class Turn:
    """The exclusive right of one run to move the slots."""

    slots: Slots
    history: History
    lease: Lease


@contextmanager
def turn(slots: Slots) -> Iterator[Turn]:
    """Wait for the exclusive right to move the slots, and finish or drop swaps that a crash interrupted.

    Raises:
        WorkshopError: other runs keep the slots for too long.
    """
    try:
        with lease.exclusive(slots.client, slots.model_name) as held:
            session = Turn(slots, History(slots.client, slots.model_name), held)
            finish_or_drop(session)
            yield session
    except Timeout as error:
        raise WorkshopError(
            f"Another run has been changing the slots of {slots.model_name} for over a minute: wait for it to end, "
            "then run again."
        ) from error


def swap(session: Turn, event: Event, trial: Trial) -> Event:
    """Give Production to the event's version.

    Returns:
        The recorded event.

    Raises:
        WorkshopError: the registry refuses, and Production is unchanged; or the version answers differently through
            the slot, and the champion holds Production again.
    """
    event = session.history.append(replace(event, state="intended"))
    session.lease.renew()
    session.slots.assign(Slot.PRODUCTION, event.version)
    problem = _test_slot(session.slots, event.version, trial)
    if not problem:
        return _finish(session, event)
    holder = _return(session, event, problem, may_leave_it_empty=event.champion is None)
    now = f"version {holder} holds it again" if holder else "no version holds it"
    raise WorkshopError(
        f"Version {event.version} took Production but did not answer there as before ({problem.rstrip('.')}), so "
        f"{now}: find out what differs between the version and the slot before you promote it again."
    )


def finish_or_drop(session: Turn) -> None:
    """Finish each interrupted swap whose slot has moved, and drop the others.

    A failure here must not stop the current run: the next run tries again.
    """
    for event in session.history.pending():
        try:
            _finish_or_drop(session, event)
        except WorkshopError as error:
            _log.warning("An earlier %s could not be finished: %s", event.title, error)


def trial_of(model: LoadedModel) -> Trial | None:
    """Record a model's answers to its input example, or else to some production wines; None if both are missing.

    Raises:
        WorkshopError: the model does not answer.
    """
    from workshop.core.data.tables import production_table  # noqa: PLC0415  # imports deltalake, and a refusal tries nothing

    sample = model.example
    if sample is None:
        if not production_table().exists():
            return None
        sample = production_table().read().frame.head(_SAMPLE_ROWS)
    return Trial(sample, model.probabilities(sample))


def loaded_or_none(slots: Slots, version: str | None) -> LoadedModel | None:
    """Load a version; return None if there is no version or it can't be loaded."""
    try:
        return load_version(slots.client, slots.model_name, version) if version is not None else None
    except WorkshopError:
        return None


def describe(slots: Slots, version: str, event: Event, status: str) -> None:
    """Write the decision on the version itself, where the team looks; the history contains it already."""
    try:
        if (entry := slots.entry(version)) is not None:
            slots.tag(version, {STATUS_TAG: status, DECISION_TAG: event.reason})
            slots.add_to_description(entry, _line(event))
    except WorkshopError as error:
        _log.warning("The %s is recorded, but not on the version itself: %s", event.title, error)


def _line(event: Event) -> str:
    return f"{utc(event.at)} {event.title} by {event.who}: {event.reason}"


def _finish_or_drop(session: Turn, event: Event) -> None:
    slots, version = session.slots, event.version
    if slots.holder(Slot.STAGING if event.kind == "staging" else Slot.PRODUCTION) != version:
        session.history.conclude(event, "returned" if event.problem else "dropped", event.problem)
    elif event.kind == "staging":
        describe(slots, version, event, "staged")
        session.history.conclude(event, "done")
    elif problem := _test_version(slots, version):
        # The test may fail because of this machine, so the slot is never emptied here.
        holder = _return(session, event, problem, may_leave_it_empty=False)
        _log.warning("The %s did not hold (%s): version %s has Production again.", event.title, problem, holder)
    else:
        _finish(session, event)


def _finish(session: Turn, event: Event) -> Event:
    """Do the steps after a successful swap; each can be repeated."""
    slots, old = session.slots, event.champion
    session.lease.renew()
    if old is not None and slots.exists(old) and slots.holder(Slot.PRODUCTION) == event.version:
        slots.assign(Slot.PREVIOUS, old)
        slots.archive(old)
        describe(slots, old, event, "archived")
    # If a lease expired, another machine may have promoted a version that this swap then replaced.
    for overtaken in set(slots.versions_tagged(STATUS_TAG, "promoted")) - {event.version}:
        if not slots.was_archived(overtaken):
            slots.archive(overtaken)
    describe(slots, event.version, event, TAG_IN_PRODUCTION[event.kind])
    return session.history.conclude(event, "done")


def _return(session: Turn, event: Event, problem: str, *, may_leave_it_empty: bool) -> str | None:
    """Give Production back, in one call, to an earlier holder that can be loaded.

    Returns:
        The holder of Production afterwards.

    Raises:
        WorkshopError: no earlier holder can be loaded, so Production stays as it is, and the next run tries again.
    """
    slots = session.slots
    session.history.suspect(event, problem)
    session.lease.renew()
    if slots.holder(Slot.PRODUCTION) == event.version:  # otherwise another run has moved it meanwhile
        before = [each for each in (event.champion, slots.holder(Slot.PREVIOUS)) if each and each != event.version]
        back = next((each for each in before if loaded_or_none(slots, each) is not None), None)
        if back is not None:
            slots.assign(Slot.PRODUCTION, back)
        elif may_leave_it_empty:
            slots.release(Slot.PRODUCTION)
        else:
            raise WorkshopError(
                f"Version {event.version} holds Production and does not answer there as it should "
                f"({problem.rstrip('.')}), and no earlier holder can be loaded: look at the registry's artifacts, or "
                "promote a version that works."
            )
    slots.archive(event.version)
    describe(slots, event.version, replace(event, reason=f"{event.reason} Returned: {problem}"), "returned")
    session.history.conclude(event, "returned", problem)
    return slots.holder(Slot.PRODUCTION)


def _test_slot(slots: Slots, version: str, trial: Trial) -> str:
    """Load the slot as a consumer does, and return the problem; empty if it answers as before."""
    try:
        answers = load_as_a_consumer(slots.uri(Slot.PRODUCTION), version).probabilities(trial.sample)
    except WorkshopError as error:
        return str(error)
    if not np.array_equal(answers, trial.answers):
        return f"its answers to {len(trial.sample)} rows are not the same"
    return ""


def _test_version(slots: Slots, version: str) -> str:
    """Test the slot as `_test_slot` does, with answers that the version gives now."""
    try:
        trial = trial_of(load_version(slots.client, slots.model_name, version))
    except WorkshopError as error:
        return str(error)
    return _test_slot(slots, version, trial) if trial is not None else ""
