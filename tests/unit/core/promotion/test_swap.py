import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from tests.support.faulty_registry import How, after_the_next_run, fresh_models, interrupt_at_every_call
from tests.support.models import MODEL, Gallery, refusal
from tests.support.promotions import BETTER, FIRST, contest
from workshop.core.data.schemas import FEATURES
from workshop.core.errors import WorkshopError
from workshop.core.promotion import evaluate, lease, manual, swap
from workshop.core.promotion.evaluate import act, judge
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.history import Event, History
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, Slots, open_slots
from workshop.core.settings import current_settings

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def made_ready(kind: str, registry: MlflowClient) -> Callable[[], Slots]:
    """Makes slots of a model of its own in which version 1 holds Production and 2 is better."""
    return fresh_models(registry, FIRST[1], BETTER[1])


@pytest.fixture
def slots(made_ready: Callable[[], Slots]) -> Slots:
    return made_ready()


def promotion_of(version: str = "2", champion: str | None = "1") -> Event:
    return Event("promotion", version, champion, "It is better.")


def trial(slots: Slots, version: str = "2") -> swap.Trial:
    made = swap.trial_of(load_version(slots.client, slots.model_name, version))
    assert made is not None
    return made


def swap_in(slots: Slots, event: Event | None = None) -> Event:
    with swap.turn(slots) as mine:
        return swap.swap(mine, event or promotion_of(), trial(slots))


# The way it should go


def test_production_changes_hands_and_the_old_holder_is_archived_and_the_way_back(slots: Slots) -> None:
    event = swap_in(slots)
    assert slots.holders() == {"production": "2", "staging": None, "previous": "1"}
    assert slots.archived() == ["1"]
    assert event.state == "done"
    assert [each.id for each in History(slots.client, slots.model_name).events()] == [event.id]


def test_the_version_says_what_happened_to_it_and_its_description_only_grows(slots: Slots) -> None:
    slots.client.update_model_version(slots.model_name, "2", "Made by Ana.")
    swap_in(slots)
    entry = slots.client.get_model_version(slots.model_name, "2")
    assert entry.tags["workshop.status"] == "promoted"
    assert entry.tags["workshop.decision"] == "It is better."
    made, happened = str(entry.description).split("\n\n")
    assert made == "Made by Ana."
    assert "promotion of version 2 over 1 by " in happened and happened.endswith(": It is better.")


def test_the_intention_is_written_down_before_the_slot_moves(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    history, found = History(slots.client, slots.model_name), []
    assign = slots.assign

    def looked_at(slot: Slot, version: str) -> None:
        found.append([event.version for event in history.pending()])
        assign(slot, version)

    monkeypatch.setattr(slots, "assign", looked_at)
    swap_in(slots)
    assert found[0] == ["2"]
    assert history.pending() == []


# The look through the slot


def other_answers(model: LoadedModel, rows: pd.DataFrame) -> np.ndarray:
    return np.zeros(len(rows))


def no_answer(model: LoadedModel, rows: pd.DataFrame) -> np.ndarray:
    raise WorkshopError("The model, version 2, did not answer: the cork is stuck.")


@pytest.mark.parametrize(
    ("through_the_slot", "words"), [(other_answers, "not the same"), (no_answer, "the cork is stuck")]
)
def test_a_version_that_answers_otherwise_through_the_slot_goes_back_by_itself(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, through_the_slot: Any, words: str
) -> None:
    before = trial(slots)

    class Consumed(LoadedModel):
        probabilities = through_the_slot

    monkeypatch.setattr(swap, "load_as_a_consumer", lambda uri, version: Consumed(version, "", None))
    with refusal("Version 2 took Production", words, "version 1 holds it again"), swap.turn(slots) as mine:
        swap.swap(mine, promotion_of(), before)
    assert slots.holder(Slot.PRODUCTION) == "1"
    assert "2" in slots.archived()
    (event,) = History(slots.client, slots.model_name).events()
    assert event.state == "returned" and words in event.problem
    assert slots.client.get_model_version(slots.model_name, "2").tags["workshop.status"] == "returned"


def test_a_first_holder_that_does_not_answer_through_the_slot_leaves_it_empty(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.release(Slot.PRODUCTION)
    before = trial(slots)
    monkeypatch.setattr(LoadedModel, "probabilities", other_answers)
    with refusal("no version holds it"), swap.turn(slots) as mine:
        swap.swap(mine, promotion_of(champion=None), before)
    assert slots.holder(Slot.PRODUCTION) is None


def test_a_version_without_an_example_is_tried_with_production_wines(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, production: pd.DataFrame
) -> None:
    model = load_version(slots.client, slots.model_name, "2")
    monkeypatch.setattr(LoadedModel, "example", None)
    tried = swap.trial_of(model)
    assert tried is not None
    assert len(tried.sample) == 100
    np.testing.assert_array_equal(tried.answers, model.probabilities(production.head(100)))
    np.testing.assert_array_equal(tried.sample[FEATURES], production[FEATURES].head(100))


# Faults, one at each call; test_registries kills the whole process at each


def promoted(slots: Slots) -> None:
    """CD's way, with a decision that has been made about the same models before."""
    act(replace(JUDGED.contest, slots=slots, candidate="2"), JUDGED.judgement)


def overridden(slots: Slots) -> None:
    """A person's way; a rollback goes the same."""
    manual.override(slots, "2", "It is better.")


class JUDGED:
    """The contest of the models that `made_ready` registers, judged once: the decision is the same for each copy."""

    contest: evaluate.Contest
    judgement: Judgement


@pytest.fixture
def judged(registry: MlflowClient) -> None:
    open_slots(registry, MODEL).assign(Slot.PRODUCTION, FIRST[1])
    JUDGED.contest = contest(BETTER)
    JUDGED.judgement = judge(JUDGED.contest)


@pytest.mark.parametrize(
    ("kind", "operation", "how"),
    [
        ("stage", promoted, "lost answer"),
        ("stage", overridden, "error"),
    ],
    indirect=["kind"],
)
def test_a_fault_at_any_call_leaves_production_held_and_the_next_run_cleans_up(
    judged: None,
    made_ready: Callable[[], Slots],
    operation: Callable[[Slots], None],
    how: How,
    request: pytest.FixtureRequest,
) -> None:
    stride = 1 if request.config.getoption("--thorough") else 3
    tally = interrupt_at_every_call(operation, how, made_ready, stride)
    print(f"{operation.__name__}, {how}: interrupted at {tally.steps} calls, one of {stride}")
    assert tally.steps > 12 / stride  # there is that much to interrupt
    assert tally.held_after_the_fault == tally.held_after_the_next_run == {"1", "2"}


def test_a_half_done_swap_is_finished_even_if_the_old_version_was_deleted_meanwhile(slots: Slots) -> None:
    History(slots.client, slots.model_name).append(replace(promotion_of(), state="intended"))
    slots.assign(Slot.PRODUCTION, "2")
    slots.client.delete_model_version(slots.model_name, "1")
    with swap.turn(slots):
        pass
    assert slots.holders() == {"production": "2", "staging": None, "previous": None}
    assert [event.state for event in History(slots.client, slots.model_name).events()] == ["done"]


def test_a_half_done_swap_to_a_version_that_can_not_be_loaded_any_more_goes_back(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(slots.client, slots.model_name).append(replace(promotion_of(), state="intended"))
    slots.assign(Slot.PRODUCTION, "2")

    with monkeypatch.context() as patch:
        patch.setattr(swap, "load_version", unloadable("2"))
        with swap.turn(slots):
            pass
    assert slots.holder(Slot.PRODUCTION) == "1"
    (event,) = History(slots.client, slots.model_name).events()
    assert (event.state, event.problem) == ("returned", "The artifacts of version 2 are gone.")


def unloadable(*gone: str) -> Callable[..., LoadedModel]:
    def load(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
        if version in gone:
            raise WorkshopError(f"The artifacts of version {version} are gone.")
        return load_version(client, model_name, version)

    return load


@pytest.mark.parametrize("champion", ["1", None], ids=["over a champion", "as the first"])
def test_a_half_done_swap_that_nobody_can_try_just_now_keeps_production_and_waits(
    slots: Slots, champion: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    History(slots.client, slots.model_name).append(replace(promotion_of(champion=champion), state="intended"))
    slots.assign(Slot.PRODUCTION, "2")
    with monkeypatch.context() as patch:
        patch.setattr(swap, "load_version", unloadable("1", "2"))  # the artifact store is away
        with refusal("no version 99"):
            manual.override(slots, "99", "A slip of the pen.")
    assert slots.holder(Slot.PRODUCTION) == "2"
    assert "could not be finished" in caplog.text
    assert len(History(slots.client, slots.model_name).pending()) == 1
    with swap.turn(slots):
        pass
    assert slots.holder(Slot.PRODUCTION) == "2"
    assert [event.state for event in History(slots.client, slots.model_name).events()] == ["done"]


def test_a_version_that_does_not_answer_goes_back_to_one_that_loads(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.client.create_model_version(
        slots.model_name,
        source=(source := str(slots.client.get_model_version(slots.model_name, "1").source)),
        model_id=source.removeprefix("models:/"),
    )
    slots.assign(Slot.PREVIOUS, "3")
    before = trial(slots)

    other: Any = other_answers

    class Consumed(LoadedModel):
        probabilities = other

    monkeypatch.setattr(swap, "load_as_a_consumer", lambda uri, version: Consumed(version, "", None))
    monkeypatch.setattr(swap, "load_version", unloadable("1"))
    with refusal("version 3 holds it again"), swap.turn(slots) as mine:
        swap.swap(mine, promotion_of(), before)
    assert slots.holder(Slot.PRODUCTION) == "3"


def test_what_another_machine_has_promoted_meanwhile_is_not_taken_back(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trial(slots)

    def overtaken(uri: str, version: str) -> LoadedModel:
        slots.assign(Slot.PRODUCTION, "1")  # another machine, which our lease did not hold up
        raise WorkshopError("The artifact store did not answer.")

    monkeypatch.setattr(swap, "load_as_a_consumer", overtaken)
    with refusal("did not answer there"), swap.turn(slots) as mine:
        swap.swap(mine, promotion_of(), before)
    assert slots.holder(Slot.PRODUCTION) == "1"


def test_an_interrupted_staging_is_finished_or_dropped(slots: Slots) -> None:
    history = History(slots.client, slots.model_name)
    for number, version in enumerate("12"):
        staging = Event("staging", version, "1", "It is better.", at=f"2026-11-24T12:00:0{number}.000+00:00")
        history.append(replace(staging, state="intended"))
    slots.assign(Slot.STAGING, "2")
    with swap.turn(slots):
        pass
    assert [event.state for event in history.events()] == ["dropped", "done"]
    assert slots.client.get_model_version(slots.model_name, "2").tags["workshop.status"] == "staged"


def test_an_intention_that_came_to_nothing_is_dropped(slots: Slots) -> None:
    History(slots.client, slots.model_name).append(replace(promotion_of(), state="intended"))
    assert after_the_next_run(slots) == "1"
    assert [event.state for event in History(slots.client, slots.model_name).events()] == ["dropped"]


# One at a time


def test_a_lock_that_another_run_keeps_is_given_up_with_the_slots_as_they_were(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_SECONDS_TO_WAIT", 0.1)
    taken, done = threading.Event(), threading.Event()

    def keep() -> None:
        with FileLock(current_settings().lock_file(f"slots-{slots.model_name}")):
            taken.set()
            done.wait()

    other_run = threading.Thread(target=keep)
    other_run.start()
    taken.wait()
    with refusal("Another run", slots.model_name, "run again"):
        swap_in(slots)
    done.set()
    other_run.join()
    assert slots.holder(Slot.PRODUCTION) == "1"
    swap_in(slots)
    assert slots.holder(Slot.PRODUCTION) == "2"


@pytest.fixture
def small_disk(home: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home is on a file system of its own, with the gallery's models."""
    place = home.parent / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a file system")
    try:
        monkeypatch.setenv("WORKSHOP_HOME", str(place / "home"))
        gallery.hang_in(place / "home")
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_full_leaves_production_as_it_was_and_the_next_run_works(small_disk: Path) -> None:
    slots = open_slots(mlflow_store.connect(), MODEL)
    manual.override(slots, FIRST[1], "To begin with.")
    opened = contest(BETTER)
    judgement = judge(opened)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with refusal("disk", "full"):
        act(opened, judgement)
    assert slots.holder(Slot.PRODUCTION) == "1"
    ballast.unlink()
    assert act(opened, judgement).status == "promoted"
    assert slots.holders() == {"production": "3", "staging": None, "previous": "1"}
