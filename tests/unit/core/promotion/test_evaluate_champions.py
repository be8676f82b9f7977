"""A champion that changes between the judgement and the swap."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.models import refusal
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
from workshop.core.promotion.evaluate import Contest, act, judge
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.outcome import Outcome
from workshop.core.registry.slots import Slot, Slots

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_another_champion_is_compared_with_before_it_is_replaced(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    assert judgement.decision.verdict == "better"
    first_in_production.assign(Slot.PRODUCTION, "4")  # another run promotes the rival
    outcome = act(opened, judgement)
    assert (outcome.status, outcome.champion_version) == ("not better", "4")
    assert outcome.decision.auc_champion != judgement.decision.auc_champion
    assert first_in_production.holder(Slot.PRODUCTION) == "4"


def test_a_candidate_that_beats_the_new_champion_too_is_promoted_over_it(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    first_in_production.assign(Slot.PRODUCTION, "2")
    outcome = act(opened, judgement)
    assert (outcome.status, outcome.champion_version) == ("promoted", "2")
    assert first_in_production.holders() == {"production": "3", "staging": None, "previous": "2"}
    assert "2" in first_in_production.archived()


def test_a_baseline_that_comes_second_is_compared(registry: MlflowClient) -> None:
    opened = contest(AGAIN)
    judgement = judge(opened)
    assert judgement.decision.verdict == "baseline"
    run(FIRST)
    assert act(opened, judgement).status == "not better"
    assert slots_now().holder(Slot.PRODUCTION) == "1"


def test_the_first_of_two_baselines_at_the_same_time_wins(kind: str, registry: MlflowClient) -> None:
    opened = [contest(entrant) for entrant in (FIRST, AGAIN)]
    judged = [(each, judge(each)) for each in opened]
    together = threading.Barrier(2)

    def act_together(each: tuple[Contest, Judgement]) -> Outcome:
        together.wait()
        return act(*each)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(act_together, judged))
    assert sorted(outcome.status for outcome in outcomes) == ["not better", "promoted"]
    (winner,) = (outcome for outcome in outcomes if outcome.status == "promoted")
    assert slots_now().holders() == {"production": winner.candidate_version, "staging": None, "previous": None}
    assert slots_now().archived() == []


def test_a_champion_that_never_holds_still_is_given_up(champion: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    looked: list[str] = []

    def another_one_each_time(slot: Slot) -> str | None:
        if slot is not Slot.PRODUCTION:
            return None
        looked.append("12"[len(looked) % 2])
        return looked[-1]

    with monkeypatch.context() as patch:
        patch.setattr(opened.slots, "holder", another_one_each_time)
        with refusal("Production has changed", "run again"):
            act(opened, judgement)
    assert champion.holder(Slot.PRODUCTION) == "1"


def test_a_version_that_another_machine_promotes_at_the_last_moment_is_not_lost(
    first_in_production: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No lock reaches another machine, which shares nothing but the registry: it swaps between our last look and ours.
    ours, theirs = contest(BETTER), contest(RIVAL)
    our_judgement, their_judgement = judge(ours), judge(theirs)
    swap = ours.slots.assign

    def overtaken(slot: Slot, version: str) -> None:
        if slot is Slot.PRODUCTION:
            with monkeypatch.context() as elsewhere:
                elsewhere.setenv("WORKSHOP_HOME", str(tmp_path / "another machine"))
                assert act(theirs, their_judgement).status == "promoted"
        swap(slot, version)

    monkeypatch.setattr(ours.slots, "assign", overtaken)
    outcome = act(ours, our_judgement)
    assert first_in_production.holder(Slot.PRODUCTION) == outcome.slots_after["production"] == "3"
    assert "4" in first_in_production.archived()
    assert pending() == []
