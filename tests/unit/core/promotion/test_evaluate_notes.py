"""What a decision says besides its verdict: looks, reproduction, drift."""

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL
from tests.support.promotions import (
    AGAIN,
    BETTER,
    FIRST,
    RIVAL,
    contest,
    register_odd,
    run,
    slots_now,
)
from workshop.core.data import tables
from workshop.core.promotion.evaluate import act, judge
from workshop.core.registry.slots import Slot, Slots

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_every_comparison_on_production_wines_is_a_look_and_new_wines_start_again(champion: Slots) -> None:
    looks = [run(entrant).decision.looks for entrant in (AGAIN, RIVAL, BETTER)]
    assert [each.number for each in looks] == [1, 2, 3]
    assert looks[2].false_promotion_chance == pytest.approx(3 * 0.025)
    assert run(BETTER, "Integration").decision.looks.number == 1
    table = tables.production_table()
    table.write(table.read().frame.head(1000), {})
    assert run(AGAIN).decision.looks.number == 1


def test_two_that_look_at_the_same_time_are_two_looks(champion: Slots) -> None:
    opened = [contest(entrant, correct_for_looks=True) for entrant in (AGAIN, BETTER)]
    judged = [(each, judge(each)) for each in opened]
    assert [judgement.decision.looks.number for _, judgement in judged] == [1, 1]
    assert [act(*each).decision.looks.number for each in judged] == [1, 2]


def test_the_same_wines_written_again_are_no_new_wines(champion: Slots) -> None:
    run(AGAIN)
    table = tables.production_table()
    table.write(table.read().frame, {})
    assert run(AGAIN).decision.looks.number == 2


def test_a_staged_model_of_another_making_stops_nobody(champion: Slots) -> None:
    champion.assign(Slot.STAGING, register_odd("two columns"))
    (note,) = run(BETTER).decision.notes
    assert note.startswith("The candidate can't be compared with version 5, which an Integration run has staged: ")


def test_a_third_look_says_what_it_does_to_the_error_rate_and_can_be_corrected_for(champion: Slots) -> None:
    for entrant in (AGAIN, AGAIN):
        run(entrant)
    opened = contest(BETTER, correct_for_looks=True)
    corrected = judge(opened).decision
    assert corrected.confidence == pytest.approx(1 - 0.025 / 12)
    assert corrected.verdict == "not better"
    (note,) = judge(contest(BETTER)).decision.notes
    assert "look 3" in note and "7.5%" in note and "99.79%" in note


def test_deployment_says_whether_it_judges_the_model_that_integration_has_passed(registry: MlflowClient) -> None:
    slots = slots_now()
    run(FIRST, "Integration")
    same = run(AGAIN)
    assert same.status == "promoted"
    assert same.decision.notes == [
        "It reproduces version 1, which an Integration run has staged: the same answers to all 1,064 wines."
    ]
    (other,) = run(BETTER).decision.notes
    assert other.startswith("It is another model than version 1, which an Integration run has staged: ")
    slots.client.delete_model_version(MODEL, "1")
    assert run(RIVAL).decision.notes[1:] == []


def test_drift_is_measured_from_the_training_wines_and_does_not_veto(champion: Slots) -> None:
    table = tables.production_table()
    wines = table.read().frame
    table.write(wines.assign(alcohol=wines["alcohol"] + 1.5), {})
    outcome = run(BETTER)
    assert outcome.drift["alcohol"] > 0.25 > outcome.drift["ph"]
    assert [guard for guard in outcome.decision.guards if "drift" in guard.name] == []
