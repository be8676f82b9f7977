"""A contest from its judgement to the slots and the history."""

from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, Gallery
from tests.support.promotions import AGAIN, BETTER, FIRST, RIVAL, contest, events, pending, register_odd, run, slots_now
from workshop.core.data import datasets, tables
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.promotion import evaluate
from workshop.core.promotion.evaluate import act, judge
from workshop.core.promotion.looks import share_of_look
from workshop.core.registry.slots import Slot, Slots

pytestmark = pytest.mark.usefixtures("no_pictures")


# The story


def test_promotions_and_rejections_from_the_first_model_to_the_third(kind: str, registry: MlflowClient) -> None:
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


def test_a_version_goes_from_staging_to_production(first_in_production: Slots) -> None:
    assert run(BETTER, "Integration").status == "staged"
    assert first_in_production.holders() == {"production": "1", "staging": "3", "previous": None}
    assert run(BETTER, "Deployment").status == "promoted"
    assert first_in_production.holder(Slot.PRODUCTION) == "3"
    assert first_in_production.holder(Slot.PREVIOUS) == "1"
    assert first_in_production.archived() == ["1"]


def test_the_outcome_and_the_version_contain_what_was_compared_and_changed(champion: Slots) -> None:
    again, better = run(AGAIN), run(BETTER)
    assert (better.model_name, better.candidate_version, better.champion_version) == (MODEL, "3", "1")
    assert (better.rows, better.decision.rows) == ("production@0", 1_064)
    assert better.slots_before == {"production": "1", "staging": None, "previous": None}
    assert better.slots_after == {"production": "3", "staging": None, "previous": "1"}
    assert better.sentence == (
        "Version 3 is promoted to Production: it is better than version 1 on production wines; version 1 is archived."
    )
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


def test_a_former_champion_can_come_back(first_in_production: Slots) -> None:
    run(BETTER)
    first_in_production.assign(Slot.PRODUCTION, "2")
    assert run(BETTER, correct_for_looks=False).status == "promoted"
    assert first_in_production.holders() == {"production": "3", "staging": None, "previous": "2"}
    assert "3" not in first_in_production.archived()


# Integration


def test_integration_only_ever_moves_staging(first_in_production: Slots) -> None:
    entrants = (AGAIN, BETTER, RIVAL, AGAIN, FIRST)
    outcomes = [run(entrant, "Integration") for entrant in entrants]
    assert [outcome.status for outcome in outcomes] == ["not better", "staged", "staged", "not better", "unchanged"]
    assert "not better than version 1" not in outcomes[-1].sentence  # version 1 is the champion itself
    assert first_in_production.holders() == {"production": "1", "staging": "4", "previous": None}
    assert pending() == []
    assert [outcome.rows for outcome in outcomes] == [f"prepared/{name}@0" for name, _ in entrants]
    assert {outcome.decision.rows for outcome in outcomes} == {852}


def test_integration_stages_the_first_model_as_long_as_production_is_empty(kind: str, registry: MlflowClient) -> None:
    outcome = run(FIRST, "Integration")
    assert (outcome.status, outcome.decision.verdict) == ("staged", "baseline")
    assert slots_now().holders() == {"production": None, "staging": "1", "previous": None}
    assert run(FIRST, "Integration").status == "unchanged"


def test_a_person_in_jupyter_deploys_the_first_model_and_then_compares(kind: str, registry: MlflowClient) -> None:
    first = run(FIRST, "unknown")
    assert (first.status, first.decision.verdict, first.rows) == ("promoted", "baseline", "production@0")
    second = run(BETTER, "unknown")
    assert second.decision.difference is not None
    assert second.decision.rows == 852  # the test wines, as of Integration
    assert slots_now().holders()["production"] == first.candidate_version


def test_a_person_in_jupyter_deploys_nothing_to_a_registry_of_others(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "mlflow_store", SimpleNamespace(is_embedded=lambda _: False))
    assert contest(FIRST, "unknown").slot is Slot.STAGING
    assert contest(FIRST, "Deployment").slot is Slot.PRODUCTION


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


@pytest.mark.parametrize("action", ["Deployment", "Integration"])
def test_a_run_that_changes_nothing_leaves_the_record_of_the_promotion(champion: Slots, action: str) -> None:
    promoted = run(BETTER)
    run(BETTER, action)
    tags = champion.client.get_model_version(MODEL, "3").tags
    assert tags["workshop.status"] == "promoted"
    assert tags["workshop.decision"] == promoted.decision.reason


# Comparing only: CD on a branch that is not main


def test_compare_only_records_a_better_candidate_and_moves_no_slot(champion: Slots) -> None:
    outcome = run(BETTER, compare_only=True)
    assert (outcome.status, outcome.decision.passed) == ("compared", True)
    assert outcome.sentence == (
        "Version 3 is better than version 1 on production wines, but this run only compares; Production is untouched."
    )
    assert run(BETTER, "Integration", compare_only=True).status == "compared"
    assert run(AGAIN, compare_only=True).status == "not better"
    assert champion.holders() == {"production": "1", "staging": None, "previous": None} == outcome.slots_after
    assert {each.kind for each in events()} == {"comparison"}
    event = events()[0]
    assert (event.kind, event.state, event.version, event.champion) == ("comparison", "done", "3", "1")
    assert event.title == "comparison of version 3"
    looks = [each.decision["looks"] for each in events() if each.decision]
    assert [(each["number"], each["spends"]) for each in looks] == [(1, True), (1, False), (2, False)]


def test_compare_only_leaves_an_empty_production_empty(registry: MlflowClient) -> None:
    outcome = run(FIRST, compare_only=True)
    assert outcome.status == "compared"
    assert "no version holds Production yet, but this run only compares" in outcome.sentence
    assert slots_now().holder(Slot.PRODUCTION) is None


# The judgement, and its notes


def test_a_judgement_contains_its_data_and_changes_nothing(champion: Slots, production: pd.DataFrame) -> None:
    before = champion.client.get_registered_model(MODEL)
    judgement = judge(contest(BETTER))
    assert judgement.champion_version == "1"
    assert judgement.champion is not None and judgement.candidate is not None
    np.testing.assert_array_equal(judgement.target, production[TARGET])
    assert len(judgement.candidate) == len(judgement.champion) == 1_064
    after = champion.client.get_registered_model(MODEL)
    assert (after.tags, after.aliases) == (before.tags, before.aliases)
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


def test_every_test_on_production_wines_is_a_look_and_new_wines_restart_the_count(champion: Slots) -> None:
    looks = [run(entrant, compare_only=True).decision.looks for entrant in (AGAIN, RIVAL, BETTER)]
    assert [(each.number, each.spends) for each in looks] == [(1, False), (1, True), (2, True)]
    spent = [1 - each.corrected_confidence for each in looks[1:]]
    assert spent == pytest.approx([0.025 * share_of_look(number) for number in (1, 2)])
    assert looks[2].false_promotion_chance == pytest.approx(sum(spent))
    assert run(BETTER, "Integration").decision.looks.corrected_confidence == 0.975
    table = tables.production_table()
    table.write(table.read().frame, {})  # the same wines again
    assert run(RIVAL, compare_only=True).decision.looks.spends is False
    wines = table.read().frame
    table.write(pd.concat([wines.iloc[10:], wines.head(10).assign(alcohol=lambda few: few["alcohol"] + 0.01)]), {})
    fresh = run(RIVAL, compare_only=True).decision.looks
    assert (fresh.number, fresh.spends) == (3, True)
    assert fresh.new_wines == pytest.approx(10 / 1_064)
    table.write(wines.assign(alcohol=wines["alcohol"] + 0.02), {})
    assert run(RIVAL, compare_only=True).decision.looks.number == 1
    table.write(wines.head(1_000), {})  # fewer, and none that no look has seen
    assert run(RIVAL, compare_only=True).decision.looks.number == 2


def test_two_simultaneous_comparisons_are_two_looks(champion: Slots) -> None:
    opened = [contest(entrant) for entrant in (RIVAL, BETTER)]
    judged = [(each, judge(each)) for each in opened]
    assert [judgement.decision.looks.number for _, judgement in judged] == [1, 1]
    assert [act(*each).decision.looks.number for each in judged] == [1, 2]


def test_a_staged_model_that_can_not_be_compared_is_a_note(champion: Slots) -> None:
    champion.assign(Slot.STAGING, register_odd("two columns"))
    note = run(BETTER).decision.notes[-1]
    assert note.startswith("The candidate can't be compared with version 5, which holds Staging: ")


def test_the_correction_can_be_turned_off_visibly(champion: Slots) -> None:
    run(RIVAL, compare_only=True)
    for correct, confidence in ((True, 1 - 0.025 * share_of_look(2)), (False, 0.975)):
        decision = judge(contest(BETTER, correct_for_looks=correct)).decision
        assert decision.confidence == pytest.approx(confidence)
        assert ("correction for repeated looks is off" in decision.notes[0]) != correct


def test_deployment_notes_whether_the_candidate_reproduces_the_staged_model(registry: MlflowClient) -> None:
    slots = slots_now()
    run(FIRST, "Integration")
    same = run(AGAIN)
    assert same.status == "promoted"
    assert same.decision.notes == ["It gives the same answers to all 1,064 wines as version 1, which holds Staging."]
    other = run(BETTER).decision.notes[-1]
    assert other.startswith("It is another model than version 1, which holds Staging: ")
    slots.client.delete_model_version(MODEL, "1")
    assert [note for note in run(RIVAL).decision.notes if "Staging" in note] == []


def test_a_candidate_that_was_trained_on_a_sample_has_a_note(champion: Slots) -> None:
    opened = contest(BETTER)
    development = datasets.load_wines(tables.development_table())
    sampled = datasets.sample(datasets.prepare(development.frame), 0.2)
    datasets.save_prepared(sampled, BETTER[0], development)
    note = "The candidate was trained on a sample, 511 wines."
    assert note in judge(contest(BETTER)).decision.notes
    assert note not in judge(opened).decision.notes


def test_drift_is_measured_from_the_training_wines_and_does_not_veto(champion: Slots) -> None:
    table = tables.production_table()
    wines = table.read().frame
    table.write(wines.assign(alcohol=wines["alcohol"] + 1.5), {})
    outcome = run(BETTER)
    assert outcome.drift["alcohol"] > 0.25 > outcome.drift["ph"]
    assert [guard for guard in outcome.decision.guards if "drift" in guard.name] == []
