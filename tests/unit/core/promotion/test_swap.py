from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from tests.support.faulty_registry import How, after_the_next_run, fresh_models, interrupt_at_every_call
from tests.support.models import MODEL, refusal
from tests.support.promotions import BETTER, FIRST, contest
from workshop.core.data.schemas import FEATURES
from workshop.core.errors import WorkshopError
from workshop.core.promotion import lease, manual, swap
from workshop.core.promotion.evaluate import act, judge
from workshop.core.promotion.event import Event
from workshop.core.promotion.history import History
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, Slots, open_slots
from workshop.core.settings import current_settings

pytestmark = pytest.mark.usefixtures("no_pictures")


def gone(*versions: str) -> Callable[..., LoadedModel]:
    """Return a `load_version` for which the artifacts of these versions are missing."""

    def load(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
        if version in versions:
            raise WorkshopError(f"The artifacts of version {version} are gone.")
        return load_version(client, model_name, version)

    return load


@pytest.fixture(params=["alias", "stage"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both forms of slots, in `make test` as well."""
    monkeypatch.setenv("WORKSHOP_SLOTS", request.param)
    return str(request.param)


@pytest.fixture
def made_ready(kind: str, registry: MlflowClient) -> Callable[[], Slots]:
    """A function that returns slots of a new model, in which version 1 holds Production and 2 is better."""
    return fresh_models(registry, FIRST[1], BETTER[1])


@pytest.fixture
def slots(made_ready: Callable[[], Slots]) -> Slots:
    return made_ready()


PROMOTION = Event("promotion", "2", "1", "It is better.")


def trial(slots: Slots, version: str = "2") -> swap.Trial:
    made = swap.trial_of(load_version(slots.client, slots.model_name, version))
    assert made is not None
    return made


def swap_in(slots: Slots, event: Event = PROMOTION, tested: swap.Trial | None = None) -> Event:
    with swap.turn(slots) as session:
        return swap.swap(session, event, tested or trial(slots))


def history(slots: Slots) -> History:
    return History(slots.client, slots.model_name)


def states(slots: Slots) -> list[str]:
    return [event.state for event in history(slots).events()]


def interrupt_after_the_assignment(slots: Slots, event: Event = PROMOTION) -> None:
    history(slots).append(replace(event, state="intended"))
    slots.assign(Slot.PRODUCTION, event.version)


def take_a_turn(slots: Slots) -> None:
    """Do what the next run does first: finish or drop interrupted swaps."""
    with swap.turn(slots):
        pass


def consume(monkeypatch: pytest.MonkeyPatch, answers: Callable[[LoadedModel, pd.DataFrame], np.ndarray]) -> None:
    """Let a consumer of the slot get these answers."""
    consumed = type("Consumed", (LoadedModel,), {"probabilities": answers})
    monkeypatch.setattr(swap, "load_as_a_consumer", lambda uri, version: consumed(version, "", None))


# The swap


def test_a_swap_is_recorded_and_archives_the_champion_as_the_previous_holder(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending: list[list[str]] = []
    assign = slots.assign

    def note_and_assign(slot: Slot, version: str) -> None:
        pending.append([event.version for event in history(slots).pending()])
        assign(slot, version)

    monkeypatch.setattr(slots, "assign", note_and_assign)
    event = swap_in(slots)
    assert pending[0] == ["2"]
    assert history(slots).pending() == []
    assert slots.holders() == {"production": "2", "staging": None, "previous": "1"}
    assert slots.archived() == ["1"]
    assert event.state == "done"
    assert [each.id for each in history(slots).events()] == [event.id]


def test_the_version_contains_the_event_and_its_description_only_grows(slots: Slots) -> None:
    slots.client.update_model_version(slots.model_name, "2", "Made by Ana.")
    swap_in(slots)
    entry = slots.client.get_model_version(slots.model_name, "2")
    assert entry.tags["workshop.status"] == "promoted"
    assert entry.tags["workshop.decision"] == "It is better."
    made, happened = str(entry.description).split("\n\n")
    assert made == "Made by Ana."
    assert "promotion of version 2 over 1 by " in happened and happened.endswith(": It is better.")


# The test through the slot


def other_answers(model: LoadedModel, rows: pd.DataFrame) -> np.ndarray:
    return np.zeros(len(rows))


def no_answer(model: LoadedModel, rows: pd.DataFrame) -> np.ndarray:
    raise WorkshopError("The model, version 2, did not answer: the cork is stuck.")


@pytest.mark.parametrize(
    ("through_the_slot", "words"), [(other_answers, "not the same"), (no_answer, "the cork is stuck")]
)
def test_a_version_that_answers_differently_through_the_slot_is_returned(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, through_the_slot: Any, words: str
) -> None:
    consume(monkeypatch, through_the_slot)
    with refusal("Version 2 took Production", words, "version 1 holds it again"):
        swap_in(slots)
    assert slots.holder(Slot.PRODUCTION) == "1"
    assert "2" in slots.archived()
    (event,) = history(slots).events()
    assert event.state == "returned" and words in event.problem
    assert slots.client.get_model_version(slots.model_name, "2").tags["workshop.status"] == "returned"


def test_a_first_holder_that_answers_differently_through_the_slot_leaves_it_empty(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.release(Slot.PRODUCTION)
    consume(monkeypatch, other_answers)
    with refusal("no version holds it"):
        swap_in(slots, replace(PROMOTION, champion=None))
    assert slots.holder(Slot.PRODUCTION) is None


def test_a_version_without_an_example_is_tested_with_production_wines(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, production: pd.DataFrame
) -> None:
    model = load_version(slots.client, slots.model_name, "2")
    monkeypatch.setattr(LoadedModel, "example", None)
    made = swap.trial_of(model)
    assert made is not None
    assert len(made.sample) == 100
    np.testing.assert_array_equal(made.answers, model.probabilities(production.head(100)))
    np.testing.assert_array_equal(made.sample[FEATURES], production[FEATURES].head(100))


# Faults at each call and interrupted swaps; test_registries kills the whole process at each call


@pytest.mark.parametrize(
    ("kind", "operation", "how"),
    [("stage", "promotion", "lost answer"), ("stage", "override", "error")],
    indirect=["kind"],
)
def test_a_fault_at_any_call_leaves_production_held_and_the_next_run_cleans_up(
    registry: MlflowClient, made_ready: Callable[[], Slots], operation: str, how: How, thorough: bool
) -> None:
    open_slots(registry, MODEL).assign(Slot.PRODUCTION, FIRST[1])
    opened = contest(BETTER)
    judgement = judge(opened)  # once: the decision is the same for each copy of the models

    def promote(slots: Slots) -> None:
        act(replace(opened, slots=slots, candidate="2"), judgement)

    def override(slots: Slots) -> None:  # a rollback takes the same steps
        manual.override(slots, "2", "It is better.")

    stride = 1 if thorough else 3
    tally = interrupt_at_every_call(promote if operation == "promotion" else override, how, made_ready, stride)
    print(f"{operation}, {how}: interrupted at {tally.steps} calls, one of {stride}")
    assert tally.steps > 12 / stride  # there is that much to interrupt
    assert tally.held_after_the_fault == tally.held_after_the_next_run == {"1", "2"}


def test_an_interrupted_swap_is_finished_after_the_old_version_was_deleted(slots: Slots) -> None:
    interrupt_after_the_assignment(slots)
    slots.client.delete_model_version(slots.model_name, "1")
    take_a_turn(slots)
    assert slots.holders() == {"production": "2", "staging": None, "previous": None}
    assert states(slots) == ["done"]


def test_a_swap_that_was_interrupted_before_the_assignment_is_dropped(slots: Slots) -> None:
    history(slots).append(replace(PROMOTION, state="intended"))
    assert after_the_next_run(slots) == "1"
    assert states(slots) == ["dropped"]


def test_an_interrupted_swap_to_a_version_that_can_not_be_loaded_is_returned(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after_the_assignment(slots)
    monkeypatch.setattr(swap, "load_version", gone("2"))
    take_a_turn(slots)
    assert slots.holder(Slot.PRODUCTION) == "1"
    (event,) = history(slots).events()
    assert (event.state, event.problem) == ("returned", "The artifacts of version 2 are gone.")


@pytest.mark.parametrize("champion", ["1", None], ids=["over a champion", "as the first"])
def test_an_interrupted_swap_that_can_not_be_tested_keeps_production_and_stays_pending(
    slots: Slots, champion: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt_after_the_assignment(slots, replace(PROMOTION, champion=champion))
    with monkeypatch.context() as patch:
        patch.setattr(swap, "load_version", gone("1", "2"))  # the artifact store is unavailable
        with refusal("no version 99"):
            manual.override(slots, "99", "A slip of the pen.")
    assert slots.holder(Slot.PRODUCTION) == "2"
    assert "could not be finished" in caplog.text
    assert len(history(slots).pending()) == 1
    take_a_turn(slots)
    assert slots.holder(Slot.PRODUCTION) == "2"
    assert states(slots) == ["done"]


def test_production_is_returned_to_an_earlier_holder_that_can_be_loaded(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.client.create_model_version(
        slots.model_name,
        source=(source := str(slots.client.get_model_version(slots.model_name, "1").source)),
        model_id=source.removeprefix("models:/"),
    )
    slots.assign(Slot.PREVIOUS, "3")
    consume(monkeypatch, other_answers)
    monkeypatch.setattr(swap, "load_version", gone("1"))
    with refusal("version 3 holds it again"):
        swap_in(slots)
    assert slots.holder(Slot.PRODUCTION) == "3"


def test_a_slot_that_another_machine_has_moved_meanwhile_is_not_moved_back(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(uri: str, version: str) -> LoadedModel:
        slots.assign(Slot.PRODUCTION, "1")  # another machine, after this one's lease has expired
        raise WorkshopError("The artifact store did not answer.")

    monkeypatch.setattr(swap, "load_as_a_consumer", overtaken)
    with refusal("did not answer there"):
        swap_in(slots)
    assert slots.holder(Slot.PRODUCTION) == "1"


def test_an_interrupted_staging_is_finished_or_dropped(slots: Slots) -> None:
    for version in "12":
        history(slots).append(Event("staging", version, "1", "It is better.", state="intended"))
    slots.assign(Slot.STAGING, "2")
    take_a_turn(slots)
    assert states(slots) == ["dropped", "done"]
    assert slots.client.get_model_version(slots.model_name, "2").tags["workshop.status"] == "staged"


# One at a time


def test_a_lock_that_another_run_keeps_leaves_the_slots_as_they_were(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_SECONDS_TO_WAIT", 0.1)
    lock = FileLock(current_settings().lock_file(f"slots-{slots.model_name}"))
    with ThreadPoolExecutor(1) as other_run:
        other_run.submit(lock.acquire).result()
        with refusal("Another run", slots.model_name, "run again"):
            swap_in(slots)
        other_run.submit(lock.release).result()
    assert slots.holder(Slot.PRODUCTION) == "1"
    swap_in(slots)
    assert slots.holder(Slot.PRODUCTION) == "2"
