"""A contest from its judgement to the slots, and what acting again does."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, Gallery
from tests.support.promotions import (
    AGAIN,
    BETTER,
    FIRST,
    RIVAL,
    contest,
    pending,
    run,
    slots_now,
)
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.promotion.evaluate import act, judge
from workshop.core.registry.slots import AliasSlots, Slot, Slots

pytestmark = pytest.mark.usefixtures("no_pictures")


# The story


def test_a_workshop_from_the_first_model_to_the_third(kind: str, registry: MlflowClient) -> None:
    baseline = run(FIRST)
    assert (baseline.status, baseline.decision.verdict) == ("promoted", "baseline")
    assert slots_now().holders() == {"production": "1", "staging": None, "previous": None}
    assert slots_now().archived() == []

    same = run(AGAIN)
    assert (same.status, same.decision.verdict) == ("not better", "not better")
    assert slots_now().holders() == {"production": "1", "staging": None, "previous": None}
    assert slots_now().archived() == []

    better = run(BETTER)
    assert (better.status, better.decision.verdict) == ("promoted", "better")
    assert slots_now().holders() == {"production": "3", "staging": None, "previous": "1"}
    assert slots_now().archived() == ["1"]

    worse = run(FIRST)
    assert worse.status == "not better"
    assert slots_now().holders() == {"production": "3", "staging": None, "previous": "1"}
    assert pending() == []


def test_the_way_from_a_branch_to_production(first_in_production: Slots) -> None:
    assert run(BETTER, "Integration").status == "staged"
    assert first_in_production.holders() == {"production": "1", "staging": "3", "previous": None}
    assert run(BETTER, "Deployment").status == "promoted"
    assert first_in_production.holder(Slot.PRODUCTION) == "3"
    assert first_in_production.holder(Slot.PREVIOUS) == "1"
    assert first_in_production.archived() == ["1"]


def test_an_outcome_says_what_was_compared_and_what_changed(champion: Slots) -> None:
    outcome = run(BETTER)
    assert (outcome.model_name, outcome.candidate_version, outcome.champion_version) == (MODEL, "3", "1")
    assert outcome.rows == "production@0"
    assert outcome.slots_before == {"production": "1", "staging": None, "previous": None}
    assert outcome.slots_after == {"production": "3", "staging": None, "previous": "1"}
    assert outcome.sentence == "Version 3 is promoted to Production; version 1 is archived."
    assert outcome.decision.rows == 1_064


def test_the_version_carries_its_outcome_and_the_reason(champion: Slots) -> None:
    better, again = run(BETTER), run(AGAIN)
    for version, outcome in (("3", better), ("2", again)):
        tags = champion.client.get_model_version(MODEL, version).tags
        assert tags["workshop.status"] == outcome.status
        assert tags["workshop.decision"] == outcome.decision.reason


def test_a_promoted_version_is_loaded_by_its_uri_and_answers(
    first_in_production: Slots, gallery: Gallery, production: pd.DataFrame
) -> None:
    run(BETTER)
    answers = mlflow.pyfunc.load_model(first_in_production.uri(Slot.PRODUCTION)).predict(production[FEATURES])
    np.testing.assert_array_equal(answers, gallery.classifiers["better"].predict_proba(production[FEATURES])[:, 1])


def test_more_improvement_than_there_is_keeps_the_champion(champion: Slots) -> None:
    assert run(BETTER, min_improvement=0.2).status == "not better"
    assert run(BETTER, confidence=0.9999999).status == "not better"
    assert champion.holder(Slot.PRODUCTION) == "1"
    assert run(BETTER).status == "promoted"


def test_a_former_champion_can_come_back(first_in_production: Slots) -> None:
    run(BETTER)
    first_in_production.assign(Slot.PRODUCTION, "2")
    assert run(BETTER).status == "promoted"
    assert first_in_production.holders() == {"production": "3", "staging": None, "previous": "2"}
    assert "3" not in first_in_production.archived()


# Integration


def test_integration_only_ever_moves_staging(first_in_production: Slots) -> None:
    outcomes = [run(entrant, "Integration") for entrant in (AGAIN, BETTER, RIVAL, FIRST)]
    assert [outcome.status for outcome in outcomes] == ["not better", "staged", "staged", "unchanged"]
    assert first_in_production.holders() == {"production": "1", "staging": "4", "previous": None}
    assert pending() == []
    assert {outcome.rows for outcome in outcomes} == {f"prepared/{name}@0" for name, _ in (AGAIN, BETTER, RIVAL, FIRST)}
    assert {outcome.decision.rows for outcome in outcomes} == {852}


def test_a_person_in_jupyter_moves_staging_only(champion: Slots) -> None:
    assert run(BETTER, "unknown").status == "staged"
    assert champion.holders() == {"production": "1", "staging": "3", "previous": None}


def test_integration_stages_the_first_model_as_long_as_production_is_empty(kind: str, registry: MlflowClient) -> None:
    outcome = run(FIRST, "Integration")
    assert (outcome.status, outcome.decision.verdict) == ("staged", "baseline")
    assert slots_now().holders() == {"production": None, "staging": "1", "previous": None}
    assert run(FIRST, "Integration").status == "unchanged"


def test_a_candidate_that_is_not_better_does_not_take_staging_away(champion: Slots) -> None:
    run(BETTER, "Integration")
    assert run(AGAIN, "Integration").status == "not better"
    assert champion.holder(Slot.STAGING) == "3"


# Acting again


def test_acting_twice_changes_nothing(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    assert act(opened, judgement).status == "promoted"
    holders, archived = first_in_production.holders(), first_in_production.archived()
    second = act(opened, judgement)
    assert second.status == "unchanged"
    assert "nothing was changed" in second.sentence
    assert second.slots_before == second.slots_after == holders == first_in_production.holders()
    assert first_in_production.archived() == archived == ["1"]
    assert pending() == []


def test_staging_twice_changes_nothing(champion: Slots) -> None:
    run(BETTER, "Integration")
    second = run(BETTER, "Integration")
    assert second.status == "unchanged"
    assert second.slots_before == second.slots_after


@pytest.mark.parametrize("action", ["Deployment", "Integration"])
def test_a_run_that_changes_nothing_leaves_the_record_of_the_promotion(champion: Slots, action: str) -> None:
    promoted = run(BETTER)
    run(BETTER, action)
    tags = champion.client.get_model_version(MODEL, "3").tags
    assert tags["workshop.status"] == "promoted"
    assert tags["workshop.decision"] == promoted.decision.reason


def test_the_model_in_production_is_not_said_to_be_worse_than_itself(champion: Slots) -> None:
    outcome = run(FIRST, "Integration")
    assert "not better than version 1" not in outcome.sentence
    assert champion.holder(Slot.PRODUCTION) == "1"


# Judging, and showing the outcome


def test_a_judgement_holds_what_it_was_made_from(champion: Slots, production: pd.DataFrame) -> None:
    judgement = judge(contest(BETTER))
    assert judgement.champion_version == "1"
    assert judgement.champion is not None and judgement.candidate is not None
    np.testing.assert_array_equal(judgement.target, production[TARGET])
    assert len(judgement.candidate) == len(judgement.champion) == 1_064
    assert judgement.decision.confidence == 0.975


def test_judging_changes_nothing(champion: Slots) -> None:
    before = champion.client.get_registered_model(MODEL)
    judge(contest(BETTER))
    after = champion.client.get_registered_model(MODEL)
    assert (after.tags, after.aliases) == (before.tags, before.aliases)
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


def test_both_kinds_of_slots_are_tried(kind: str, empty_registry: MlflowClient) -> None:
    assert isinstance(slots_now(), AliasSlots) == (kind == "alias")
