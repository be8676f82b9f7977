"""What a promotion, `workshop status` and a follower read: nothing that grows with the versions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from tests.support.faulty_registry import FailingClient
from tests.support.models import MODEL
from tests.support.promotions import BETTER, contest
from workshop.cli import status
from workshop.core.promotion import manual
from workshop.core.promotion.evaluate import act, judge
from workshop.core.registry.backends import open_client
from workshop.core.registry.follower import Follower
from workshop.core.registry.slots import ARCHIVED_TAG, open_slots

MOST_CALLS_OF_AN_OVERRIDE = 27
MOST_CALLS_OF_A_PROMOTION = 30
"""The figures in docs/promotion.md."""

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def in_production(registry: MlflowClient) -> MlflowClient:
    """A client as `connect` returns it, of a registry in which version 1 holds Production, with an event."""
    manual.override(open_slots(registry, MODEL), "1", "It is the first.")
    return open_client()


@pytest.fixture
def no_full_reads(in_production: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store that refuses the calls that read every version, and a search of versions without a tag."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("every version is read")

    search: Any = SqlAlchemyStore.search_model_versions

    def search_by_tag(self: Any, filter_string: str = "", *arguments: Any, **named: Any) -> Any:
        assert "tags." in filter_string
        return search(self, filter_string, *arguments, **named)

    for name in ("get_registered_model", "search_registered_models", "get_latest_versions"):
        monkeypatch.setattr(SqlAlchemyStore, name, refuse)
    monkeypatch.setattr(SqlAlchemyStore, "search_model_versions", search_by_tag)
    yield


@pytest.mark.usefixtures("no_full_reads")
def test_a_swap_a_rollback_a_status_and_a_look_do_not_read_every_version(in_production: MlflowClient) -> None:
    slots = open_slots(in_production, MODEL)
    follower = Follower(slots)
    manual.override(slots, "3", "The cellar master likes the number.")
    assert follower.look().model.version == "3"
    manual.roll_back(slots)
    assert slots.holders() == {"production": "1", "staging": None, "previous": "3"}
    assert status.read(MODEL)["archived"] == ["3"]


def test_the_calls_of_an_override_stay_as_few_as_documented(in_production: MlflowClient) -> None:
    counting: Any = FailingClient(in_production, 0, "error")
    manual.override(open_slots(counting, MODEL), "3", "The cellar master likes the number.")
    assert len(counting.calls) <= MOST_CALLS_OF_AN_OVERRIDE, counting.calls


def test_the_calls_of_a_promotion_stay_as_few_as_documented(in_production: MlflowClient) -> None:
    entered = contest(BETTER)
    judgement = judge(entered)
    counting: Any = FailingClient(in_production, 0, "error")
    act(replace(entered, slots=open_slots(counting, MODEL)), judgement)
    assert len(counting.calls) <= MOST_CALLS_OF_A_PROMOTION, counting.calls


def test_only_the_newest_archived_versions_are_read(in_production: MlflowClient) -> None:
    slots = open_slots(in_production, MODEL)
    for version in "1234":
        in_production.set_model_version_tag(MODEL, version, ARCHIVED_TAG, "2026-11-24T12:00:00+00:00")
    assert slots.archived() == ["2", "3", "4"]
    assert slots.archived(most=2) == ["3", "4"]
    assert slots.archived(most=3) == ["2", "3", "4"]
