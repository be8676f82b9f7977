"""CD on a branch that is not main: it compares and reports, and no slot changes hands."""

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, Gallery
from tests.support.promotions import AGAIN, BETTER, FIRST, events, run, slots_now
from workshop.core.promotion import evaluate
from workshop.core.promotion.history import History
from workshop.core.registry.slots import Slot, Slots, open_slots


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "illustrate", lambda *_: None)


@pytest.fixture
def champion(registry: MlflowClient) -> Slots:
    """Version 1 holds Production."""
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    return slots


def test_a_better_model_is_said_to_be_better_and_takes_nothing(champion: Slots) -> None:
    before = champion.holders()
    outcome = run(BETTER, compare_only=True)
    assert outcome.status == "compared"
    assert outcome.sentence == (
        "Version 3 is better than version 1, but this run only compares; Production is untouched."
    )
    assert outcome.decision.passed
    assert slots_now().holders() == before == outcome.slots_after


def test_for_integration_it_leaves_staging_alone(champion: Slots, gallery: Gallery) -> None:
    assert run(BETTER, "Integration", compare_only=True).status == "compared"
    assert slots_now().holder(Slot.STAGING) is None


def test_where_nothing_holds_production_it_stays_so(registry: MlflowClient) -> None:
    outcome = run(FIRST, compare_only=True)
    assert outcome.status == "compared"
    assert "nothing holds Production yet, but this run only compares" in outcome.sentence
    assert slots_now().holder(Slot.PRODUCTION) is None


def test_a_model_that_is_not_better_is_rejected_as_ever(champion: Slots) -> None:
    assert run(AGAIN, compare_only=True).status == "not better"


def test_it_is_written_down_and_counts_as_a_look_at_the_production_wines(champion: Slots) -> None:
    run(BETTER, compare_only=True)
    (event,) = events()
    assert (event.kind, event.state, event.version, event.champion) == ("comparison", "done", "3", "1")
    assert event.title == "comparison of version 3"
    assert History(MlflowClient(), MODEL).looks_at(event.rows_digest) == 1
    promoted = run(BETTER)
    assert promoted.status == "promoted"
    assert promoted.decision.looks.number == 2
