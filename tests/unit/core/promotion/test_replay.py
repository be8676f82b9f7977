from dataclasses import replace

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, refusal
from tests.support.promotions import AGAIN, BETTER, FIRST, RIVAL, events, register_odd, run, slots_now
from workshop.core.data import tables
from workshop.core.promotion import manual, slices
from workshop.core.promotion.replay import replay

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_every_decision_is_computed_as_recorded_after_the_tables_have_changed(registry: MlflowClient) -> None:
    run(FIRST)
    run(BETTER, "Integration")
    run(AGAIN, min_improvement=0.01)
    run(BETTER, confidence=0.9)
    register_odd("NaN")
    run("dev-odd")
    run(RIVAL, correct_for_looks=True)
    table = tables.production_table()
    table.write(table.read().frame.head(900), {})  # tomorrow's wines; the record names today's
    recorded = events()
    assert [event.kind for event in recorded] == [
        "promotion",
        "staging",
        "rejection",
        "promotion",
        "refusal",
        "rejection",
    ]
    assert [replay(registry, MODEL, event) for event in recorded] == [[]] * 6


def test_a_figure_that_differs_from_its_record_is_named(registry: MlflowClient) -> None:
    run(FIRST)
    run(BETTER)
    event = events()[-1]
    assert event.decision is not None
    forged = replace(event, decision={**event.decision, "p_value": 0.5, "verdict": "not better"})
    differences = replay(registry, MODEL, forged)
    assert len(differences) == 2
    assert differences[0].startswith("p_value: 0.5 is recorded, ")
    assert differences[1] == "verdict: not better is recorded, better is computed"


def test_a_guard_that_could_not_judge_replays_and_older_records_of_it_too(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(slices.SLICES, "strongest wines", lambda wines: wines["alcohol"] > 14)
    run(FIRST)
    run(BETTER)
    event = events()[-1]
    assert event.decision is not None
    results = {guard["name"]: guard["passed"] for guard in event.decision["guards"]}
    assert results["not worse on strongest wines"] is None
    for passed in (None, True, False):
        recorded = [dict(guard) for guard in event.decision["guards"]]
        next(guard for guard in recorded if guard["passed"] is None)["passed"] = passed
        differences = replay(registry, MODEL, replace(event, decision={**event.decision, "guards": recorded}))
        assert [text.split(":")[0] for text in differences] == ["not worse on strongest wines"] * (passed is False)


def test_an_override_can_not_be_replayed(registry: MlflowClient) -> None:
    manual.override(slots_now(), "1", "I like it.")
    with refusal("override of version 1", "I like it"):
        replay(registry, MODEL, events()[-1])


def test_missing_rows_or_versions_are_one_sentence(registry: MlflowClient) -> None:
    run(FIRST)
    run(BETTER, "Integration")
    first, staged = events()
    with refusal("no table prepared/elsewhere"):
        replay(registry, MODEL, replace(staged, rows="prepared/elsewhere@0"))
    with refusal("production@17"):
        replay(registry, MODEL, replace(first, rows="production@17"))
    with refusal("has other rows than those of the decision"):
        replay(registry, MODEL, replace(first, rows_digest="other rows"))
    registry.delete_model_version(MODEL, "3")
    with refusal("Version 3 has been deleted"):
        replay(registry, MODEL, staged)
