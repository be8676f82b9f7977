"""Registries that fail at a chosen call, to interrupt a swap at each of its steps."""

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.support.models import MODEL
from workshop.core.errors import WorkshopError
from workshop.core.promotion.history import History
from workshop.core.promotion.swap import turn
from workshop.core.registry.model import load_version
from workshop.core.registry.slots import Slot, Slots, open_slots

How = Literal["power cut", "kill -9", "error", "lost answer", "gone"]
"""The fault: the process ends before the call; the registry answers with an error; the answer to a completed call is
lost; or the registry is unavailable from the call on."""

MOST_CALLS = 100


class PowerCutError(BaseException):
    """The end of the process; nothing catches this."""


class FailingClient:
    """A client that fails at a certain call; `after` is called after each call that writes."""

    def __init__(self, client: MlflowClient, at: int, how: How, after: Callable[[], None] = lambda: None) -> None:
        self.client, self.at, self.how, self.after = client, at, how, after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.client, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            now = len(self.calls) == self.at
            if now and self.how == "power cut":
                raise PowerCutError(name)
            if now and self.how == "kill -9":
                os.kill(os.getpid(), signal.SIGKILL)
            if (now and self.how == "error") or (len(self.calls) >= self.at and self.how == "gone"):
                raise MlflowException(f"INTERNAL_ERROR: {name} is out of order")
            result = attribute(*arguments, **named)
            if name.startswith(("set_", "delete_", "transition_", "create_", "update_", "log_")):
                self.after()
            if now and self.how == "lost answer":
                raise MlflowException(f"{name}: the connection was reset")
            return result

        return call

    @property
    def failed(self) -> bool:
        """Return whether the call was reached."""
        return len(self.calls) >= self.at


@dataclass
class Tally:
    """The results of an operation that was interrupted at each of its calls."""

    steps: int = 0
    held_after_the_fault: set[str | None] = field(default_factory=set)
    held_after_the_next_run: set[str | None] = field(default_factory=set)


def interrupt_at_every_call(
    operation: Callable[[Slots], None], how: How, made_ready: Callable[[], Slots], stride: int = 1
) -> Tally:
    """Interrupt an operation that takes Production from version 1 to 2 at its first call, its second, and so on.

    At every instant Production must be held by one of the two, and the next run must leave nothing half done.

    Args:
        operation: what is interrupted.
        how: what happens at the call.
        made_ready: returns slots of a new model, in which version 1 holds Production.
        stride: 2 for every second call only, and so on.
    """
    tally = Tally()
    for at in range(1, MOST_CALLS, stride):
        slots = made_ready()
        seen: set[str | None] = set()
        fragile: Any = FailingClient(slots.client, at, how, lambda: seen.add(slots.holder(Slot.PRODUCTION)))  # noqa: B023
        try:
            operation(type(slots)(fragile, slots.model_name))
        except (PowerCutError, WorkshopError):
            assert fragile.failed, "nothing had failed yet"
        assert seen <= {"1", "2"}
        tally.held_after_the_fault.add(slots.holder(Slot.PRODUCTION))
        tally.held_after_the_next_run.add(after_the_next_run(slots))
        if not fragile.failed:
            return tally
        tally.steps += 1
    raise AssertionError(f"an operation of over {MOST_CALLS} calls")


def after_the_next_run(slots: Slots) -> str | None:
    """Return the version in Production after another turn, and require that the slots are consistent."""
    with turn(slots):
        pass
    holder = slots.holder(Slot.PRODUCTION)
    assert holder in ("1", "2")
    assert load_version(slots.client, slots.model_name, holder).version == holder
    history = History(slots.client, slots.model_name)
    assert history.pending() == []
    done = [event for event in history.events() if event.state == "done"]
    assert [event.version for event in done] == (["2"] if holder == "2" else [])
    assert slots.holder(Slot.PREVIOUS) == ("1" if holder == "2" else None)
    # If the check through the slot is interrupted, the slot goes back.
    returned = any(event.state == "returned" for event in history.events())
    assert slots.archived() == (["1"] if holder == "2" else ["2"] if returned else [])
    if holder == "2":
        # The tag may be missing if its call failed, but it is never wrong.
        tags = slots.client.get_model_version(slots.model_name, "2").tags
        assert tags.get("workshop.decision") in (done[0].reason, None)
    return holder


def fresh_models(client: MlflowClient, *versions: str, of: str = MODEL) -> Callable[[], Slots]:
    """Return a function that creates, at each call, a new model of these versions, the first of them in Production."""
    sources = [str(client.get_model_version(of, version).source) for version in versions]
    numbers = itertools.count(1)

    def made_ready() -> Slots:
        name = f"{of}-{next(numbers)}"
        client.create_registered_model(name)
        for source in sources:
            client.create_model_version(name, source=source, model_id=source.removeprefix("models:/"))
        slots = open_slots(client, name)
        slots.assign(Slot.PRODUCTION, "1")
        return slots

    return made_ready
