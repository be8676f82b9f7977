"""A follower against real registries and models, and against registries that are gone, hang or talk nonsense."""

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support.follower import NEVER, until
from tests.support.models import MODEL, refusal
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, Slots


def test_it_starts_with_the_version_that_holds_the_slot(kind: str, slots: Slots) -> None:
    state = Follower(slots, every=NEVER).state
    assert (state.model.version, state.problem, state.swaps, state.failed_loads) == ("1", None, 0, 0)
    assert state.since == state.looked == state.in_step
    assert state.since.utcoffset() is not None


def test_a_promotion_reaches_it_at_the_next_look(kind: str, slots: Slots, production: pd.DataFrame) -> None:
    follower = Follower(slots, every=NEVER)
    first = follower.look()
    for swaps, version in enumerate(("3", "2", "3"), start=1):
        slots.assign(Slot.PRODUCTION, version)
        state = follower.look()
        assert (state.model.version, state.swaps, state.problem) == (version, swaps, None)
        assert state.since == state.looked == state.in_step > first.looked
    expected = load_version(slots.client, MODEL, "3").probabilities(production)
    assert np.array_equal(follower.model.probabilities(production), expected)


def test_it_follows_staging_as_well(kind: str, slots: Slots) -> None:
    slots.assign(Slot.STAGING, "2")
    follower = Follower(slots, Slot.STAGING, NEVER)
    slots.assign(Slot.STAGING, "4")
    assert follower.look().model.version == "4"


def test_nothing_happens_when_the_holder_is_the_same(slots: Slots, loads: dict[str, int]) -> None:
    follower = Follower(slots, every=NEVER)
    held = follower.state
    slots.assign(Slot.PRODUCTION, "1")
    again = follower.look()
    assert again.model is held.model
    assert (again.since, again.swaps, loads) == (held.since, 0, {"1": 1})
    assert again.looked > held.looked


def test_the_thread_looks_by_itself_and_ends_with_the_follower(slots: Slots) -> None:
    with Follower(slots, every=0.01) as follower:
        slots.assign(Slot.PRODUCTION, "2")
        until(lambda: follower.model.version == "2")
        (thread,) = (each for each in threading.enumerate() if each.name == "follow-production")
        assert thread.daemon
    assert not thread.is_alive()
    assert follower.model.version == "2"


def test_closing_does_not_wait_for_the_next_look(slots: Slots, loads: dict[str, int]) -> None:
    with Follower(slots, every=NEVER):
        pass
    assert not [each for each in threading.enumerate() if each.name == "follow-production"]


def test_a_follower_that_was_never_started_can_be_closed(slots: Slots, loads: dict[str, int]) -> None:
    Follower(slots, every=NEVER).close()


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_an_interval_must_be_one(slots: Slots, every: float) -> None:
    with refusal("interval", "above 0"):
        Follower(slots, every=every)


def test_a_version_has_answered_its_example_before_it_takes_over(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def load(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
        model = load_version(client, model_name, version)
        answer = model.pyfunc.predict

        def predict(wines: pd.DataFrame) -> Any:
            asked.append((follower.model.version, wines.columns.tolist()))
            return answer(wines)

        model.pyfunc.predict = predict
        return model

    follower = Follower(slots, every=NEVER)
    monkeypatch.setattr("workshop.core.registry.follower.load_version", load)
    slots.assign(Slot.PRODUCTION, "3")
    assert follower.look().model.version == "3"
    assert asked == [("1", FEATURES)]


def test_an_answer_and_its_version_come_from_one_model(slots: Slots, production: pd.DataFrame) -> None:
    wines = production.head(20)
    expected = {
        version: load_version(slots.client, MODEL, version).probabilities(wines).tobytes() for version in ("1", "3")
    }
    assert expected["1"] != expected["3"]
    done, seen = threading.Event(), [set[str]() for _ in range(4)]
    mixed: list[str] = []

    def hammer(mine: set[str]) -> None:
        while not done.is_set():
            model = follower.model
            if model.probabilities(wines).tobytes() != expected[model.version]:
                mixed.append(model.version)
            mine.add(model.version)

    follower = Follower(slots, every=NEVER)
    threads = [threading.Thread(target=hammer, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for version in ("3", "1") * 4:
        slots.assign(Slot.PRODUCTION, version)
        assert follower.look().model.version == version
    until(lambda: all(mine == {"1", "3"} for mine in seen) or bool(mixed))
    done.set()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert follower.state.swaps == 8
