"""The next look, from histories of every kind."""

from dataclasses import replace
from itertools import count
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL
from workshop.core.parameters import Terms
from workshop.core.promotion.event import LOOK_TAG, RECORD_TAG, Event, State
from workshop.core.promotion.gate import decide
from workshop.core.promotion.history import History
from workshop.core.promotion.looks import Look, share_of_look
from workshop.core.promotion.next_look import is_current, look_of, next_look
from workshop.core.promotion.outcome import Kind

WINES = pd.DataFrame({"alcohol": np.arange(40.0)})
TARGET = np.arange(40) % 2
CHAMPION = np.random.default_rng(0).random(40)
_clock = count(1)


@pytest.fixture
def history(empty_registry: MlflowClient) -> History:
    return History(empty_registry, MODEL)


def answers(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(40)


def find(history: History, seed: int, wines: pd.DataFrame = WINES) -> Look:
    return next_look(history, f"digest of {len(wines)}", "1", wines, answers(seed))


def record(history: History, look: Look, kind: Kind = "rejection", state: State = "done", **changes: Any) -> Event:
    """Record a comparison of some answers."""
    decision = decide(TARGET, answers(99), CHAMPION, Terms(), look=look)
    event = Event(kind, "2", "1", "Reason.", rows_digest="digest of 40", look=look.as_dict())
    at = f"2026-12-01T00:00:{next(_clock) % 60:02}.000+00:00"
    return history.append(replace(event, decision=decision.as_dict(), state=state, at=at, **changes))


def test_the_first_look(history: History) -> None:
    look = find(history, 1)
    assert (look.number, look.share, look.new_wines, look.repeats) == (1, share_of_look(1), 1.0, False)
    assert is_current(look, history)


def test_looks_are_counted_and_the_same_test_is_not_another_one(history: History) -> None:
    first = find(history, 1)
    record(history, first)
    assert not is_current(first, history)
    second = find(history, 2)
    assert (second.number, second.share, second.new_wines) == (2, share_of_look(2), 0.0)
    again = find(history, 1)
    assert replace(again, repeats=False, wealth=None) == replace(first, wealth=None)
    assert again.repeats and is_current(again, history)
    record(history, again)
    assert find(history, 2).number == 2


@pytest.mark.parametrize(
    ("state", "earns"), [("done", True), ("intended", True), ("returned", False), ("dropped", False)]
)
def test_a_promotion_after_the_first_earns_unless_it_was_returned_or_dropped(
    history: History, state: str, earns: bool
) -> None:
    for seed in (1, 2):
        record(history, find(history, seed), "promotion", cast("State", state))
    assert find(history, 3).share == pytest.approx(share_of_look(3) + share_of_look(1) * earns)


def test_a_promotion_keeps_what_it_earned_when_it_is_rolled_back(history: History) -> None:
    for seed in (1, 2):
        record(history, find(history, seed), "promotion")
    before = find(history, 3).share
    history.append(Event("rollback", "1", "2", "I did not like it."))
    assert find(history, 3).share == before


def test_a_run_that_only_compares_makes_a_look_too(history: History) -> None:
    record(history, find(history, 1), "comparison")
    assert find(history, 2).number == 2


def test_damaged_missing_and_foreign_events_are_passed_over(history: History) -> None:
    events = [record(history, find(history, seed)) for seed in range(4)]
    client = history.client
    client.set_tag(events[3].id, RECORD_TAG, '{"kind": ')
    assert find(history, 9).number == 4
    client.delete_run(events[2].id)
    assert find(history, 9).number == 3
    experiment = client.get_experiment_by_name(history.experiment)
    assert experiment is not None
    client.create_run(experiment.experiment_id, tags={LOOK_TAG: "17"})
    history.append(replace(events[1], look={"number": 9, "test": "cut"}, token="cut"))
    cut = {name: value for name, value in (events[1].decision or {}).items() if name != "confidence"}
    history.append(replace(events[1], decision=cut, token="cut decision"))
    look = find(history, 9)
    assert look.number == 3
    assert is_current(look, history)
    assert look_of(Event("rejection", "2", "1", "Reason.", look={"number": 1})) is None


def test_comparisons_from_before_looks_were_recorded_are_looks(history: History) -> None:
    old = decide(TARGET, answers(1), CHAMPION, Terms(correct_for_looks=False)).as_dict()
    old["looks"] = {"number": 1, "false_promotion_chance": 0.025, "corrected_confidence": 0.9875}
    kinds: list[Kind] = ["promotion", "rejection", "rejection"]
    for number, kind in enumerate(kinds):
        event = Event(kind, "2", "1", "Old.", rows_digest="digest of 40", decision=old, token=str(number))
        history.append(event)
        history.append(event)  # recorded twice, since the answer was lost
    look = find(history, 7)
    assert (look.number, look.new_wines) == (4, 0.0)
    assert look.spent_before == pytest.approx(0.075)
    assert look.wealth is not None and look.wealth.promotions == 1
    other = find(history, 7, WINES.head(30))
    assert (other.number, other.new_wines) == (1, 1.0)
