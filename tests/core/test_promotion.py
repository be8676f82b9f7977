import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel

from tests.core.helpers import MODEL, Gallery, refusal
from workshop.core import data, model, promotion, store, tables
from workshop.core.outcome import Outcome
from workshop.core.parameters import Parameters
from workshop.core.promotion import Contest, Judgement, act, judge, open_contest
from workshop.core.schemas import FEATURES, TARGET
from workshop.core.settings import current_settings
from workshop.core.slots import AliasSlots, Slot, Slots, open_slots

# The gallery's run names, with the versions that they have registered
FIRST, AGAIN, BETTER, RIVAL = ("first", "1"), ("again", "2"), ("better", "3"), ("rival", "4")


def contest(entrant: tuple[str, str] | str, action: str = "Deployment", **parameters: Any) -> Contest:
    """What 1_3 opens for a run name."""
    run_name = entrant if isinstance(entrant, str) else entrant[0]
    return open_contest(MlflowClient(), Parameters(run_name=run_name, devops_action=action, **parameters))


def run(entrant: tuple[str, str] | str, action: str = "Deployment", **parameters: Any) -> Outcome:
    """What 1_3 does for a run name."""
    opened = contest(entrant, action, **parameters)
    return act(opened, judge(opened))


def slots_now() -> Slots:
    return open_slots(MlflowClient(), MODEL)


@pytest.fixture
def first_in_production(kind: str, registry: MlflowClient) -> Slots:
    """Version 1 holds Production and nothing else is held; once with aliases, once with stages."""
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    return slots


@pytest.fixture
def champion(registry: MlflowClient) -> Slots:
    """The same with aliases only, for what does not depend on how slots are kept."""
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    return slots


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
    assert slots_now().intention() is None


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
    assert first_in_production.intention() is None
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
    assert first_in_production.intention() is None


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


# A champion that changes


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
        looked.append("12"[len(looked) % 2])
        return looked[-1] if slot is Slot.PRODUCTION else None

    with monkeypatch.context() as patch:
        patch.setattr(opened.slots, "holder", another_one_each_time)
        with refusal("changed hands", "run again"):
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
    assert first_in_production.intention() is None


# Crashes


class PowerCutError(BaseException):
    """The machine is gone; nothing catches this."""


class Fragile:
    """A client whose machine loses power at a certain call; `after` each call that writes it lets somebody look."""

    def __init__(self, client: MlflowClient, last_call: int, after: Callable[[], None]) -> None:
        self.client, self.last_call, self.after = client, last_call, after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == self.last_call:
                raise PowerCutError(name)
            result = getattr(self.client, name)(*arguments, **named)
            if name.startswith(("set_", "delete_", "transition_")):
                self.after()
            return result

        return call


MOST_CALLS = 60


def crash_at(call: int, opened: Contest, judgement: Judgement) -> tuple[bool, set[str | None]]:
    """Act with a client that dies at that call; whether it died, and who held Production meanwhile."""
    seen: set[str | None] = set()
    sound = opened.slots
    fragile: Any = Fragile(sound.client, call, lambda: seen.add(sound.holder(Slot.PRODUCTION)))
    try:
        act(replace(opened, slots=type(sound)(fragile, MODEL)), judgement)
    except PowerCutError:
        return True, seen
    return False, seen


class Undo:
    """Puts the registry back, in place, to what it was."""

    def __init__(self, home: Path) -> None:
        self.live, self.kept = home / "mlflow.db", home / "kept.db"
        self.copy(self.live, self.kept)

    def __call__(self) -> None:
        self.copy(self.kept, self.live)

    @staticmethod
    def copy(source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target)) as copied:
            origin.backup(copied)


@pytest.mark.parametrize(
    ("kind", "next_run"),
    [("alias", BETTER), ("alias", AGAIN), ("stage", AGAIN)],
    ids=["aliases, the same run again", "aliases, another run", "stages, another run"],
    indirect=["kind"],
)
def test_a_crash_at_any_call_leaves_production_held_and_the_next_run_cleans_up(
    first_in_production: Slots, home: Path, next_run: tuple[str, str]
) -> None:
    slots = first_in_production
    opened, next_contest = contest(BETTER), contest(next_run)
    judgement, next_judgement = judge(opened), judge(next_contest)
    undo, after_the_crash, after_the_next_run = Undo(home), set(), set()
    for call in range(1, MOST_CALLS):
        crashed, seen = crash_at(call, opened, judgement)
        assert seen <= {"1", "3"}
        after_the_crash.add(slots.holder(Slot.PRODUCTION))

        act(next_contest, next_judgement)
        holder = slots.holder(Slot.PRODUCTION)
        after_the_next_run.add(holder)
        assert slots.intention() is None
        assert slots.holder(Slot.PREVIOUS) == ("1" if holder == "3" else None)
        assert slots.archived() == (["1"] if holder == "3" else [])
        if holder == "3":
            tags = slots.client.get_model_version(MODEL, "3").tags
            assert tags["workshop.status"] == "promoted"
            assert tags["workshop.decision"] == judgement.decision.reason
        if not crashed:
            break
        undo()
    assert not crashed
    assert call > 8  # there is that much to interrupt
    assert after_the_crash == {"1", "3"}
    assert after_the_next_run == ({"3"} if next_run is BETTER else {"1", "3"})
    for version in ("1", "3"):
        assert model.load_version(slots.client, MODEL, version).version == version


def test_a_crash_while_the_baseline_is_promoted_is_finished_by_the_next_run(registry: MlflowClient, home: Path) -> None:
    slots, opened, undo = slots_now(), contest(FIRST), Undo(home)
    judgement = judge(opened)
    for call in range(1, MOST_CALLS):
        crashed, seen = crash_at(call, opened, judgement)
        assert seen <= {None, "1"}
        assert act(opened, judgement).status in {"promoted", "unchanged"}
        assert slots.holders() == {"production": "1", "staging": None, "previous": None}
        assert slots.archived() == []
        assert slots.intention() is None
        if not crashed:
            break
        undo()
    assert not crashed


@pytest.fixture
def half_swapped(first_in_production: Slots) -> Slots:
    """Version 3 has just taken Production from 1 when the power went: the rest is not done."""
    first_in_production.record_intention({"from": "1", "to": "3", "run_id": "", "at": "2026-01-01T00:00:00+00:00"})
    first_in_production.assign(Slot.PRODUCTION, "3")
    return first_in_production


def test_a_half_done_swap_is_finished_whatever_the_next_run_is_about(half_swapped: Slots) -> None:
    assert run(AGAIN, "Integration").status == "not better"
    assert half_swapped.holders() == {"production": "3", "staging": None, "previous": "1"}
    assert half_swapped.archived() == ["1"]
    assert half_swapped.intention() is None


def test_a_half_done_swap_is_finished_even_if_the_old_version_was_deleted_meanwhile(half_swapped: Slots) -> None:
    half_swapped.client.delete_model_version(MODEL, "1")
    assert run(AGAIN).status == "not better"
    assert half_swapped.intention() is None
    assert half_swapped.holders() == {"production": "3", "staging": None, "previous": None}


def test_an_intention_that_came_to_nothing_is_dropped(first_in_production: Slots) -> None:
    first_in_production.record_intention({"from": "1", "to": "4", "run_id": "", "at": "2026-01-01T00:00:00+00:00"})
    assert run(AGAIN).status == "not better"
    assert first_in_production.holders() == {"production": "1", "staging": None, "previous": None}
    assert first_in_production.intention() is None


def test_without_an_intention_there_is_nothing_to_finish(champion: Slots) -> None:
    promotion.finish_or_drop(champion)
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


# One at a time


def test_a_lock_that_another_run_keeps_is_given_up_with_the_slots_as_they_were(
    champion: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    monkeypatch.setattr(promotion, "_SECONDS_FOR_ANOTHER_SWAP", 0.1)
    taken, done = threading.Event(), threading.Event()

    def keep() -> None:
        with FileLock(current_settings().lock_file(f"slots-{MODEL}")):
            taken.set()
            done.wait()

    other_run = threading.Thread(target=keep)
    other_run.start()
    taken.wait()
    with refusal("Another run", MODEL, "run again"):
        act(opened, judgement)
    done.set()
    other_run.join()
    assert champion.holder(Slot.PRODUCTION) == "1"
    assert act(opened, judgement).status == "promoted"


# Candidates and rows that can't be used


class Constant(PythonModel):
    """Answers one half to everything."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return np.full(len(model_input), 0.5)


class Raising(PythonModel):
    """Does not answer."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        raise ValueError("the cork\nis stuck")


class Boasting(PythonModel):
    """Is more than certain."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        return np.linspace(0, 2, len(model_input))


def register(python_model: Any, columns: dict[str, str], signed: bool = True) -> str:
    """Register a model of another making, with input columns of that name and type, as dev-odd's candidate."""
    client = MlflowClient()
    store.use_experiment(client, MODEL, "dev-odd")
    example = pd.DataFrame(1.0, index=range(3), columns=list(columns)).astype(columns)
    signature = infer_signature(example, np.full(3, 0.5)) if signed else None
    with mlflow.start_run() as active:
        info = mlflow.pyfunc.log_model(
            name="model", python_model=python_model, signature=signature, pip_requirements=["mlflow"]
        )
    tags = {model.RUN_NAME_TAG: "dev-odd", model.RUN_ID_TAG: "", model.DATA_TAG: "development@0"}
    entry = client.create_model_version(MODEL, source=info.model_uri, run_id=active.info.run_id, tags=tags)
    development = data.load_wines(tables.development_table())
    data.save_prepared(data.prepare(development.frame), "dev-odd", development)
    return str(entry.version)


USUAL = dict.fromkeys(FEATURES, "float64")


RENAMED = {"acidity" if name == "fixed_acidity" else name: kind for name, kind in USUAL.items()}


@pytest.mark.parametrize(
    ("columns", "action"),
    [
        (RENAMED, "Deployment"),
        (RENAMED, "Integration"),
        ({name: kind for name, kind in USUAL.items() if name != "alcohol"}, "Deployment"),
        ({**USUAL, "price": "float64"}, "Deployment"),
        ({**USUAL, "is_red": "float32"}, "Deployment"),
    ],
    ids=["renamed", "renamed, on a branch", "one less", "one more", "other type"],
)
def test_a_candidate_with_other_input_columns_is_refused(champion: Slots, columns: dict[str, str], action: str) -> None:
    version = register(Constant(), columns)
    with refusal(f"version {version}", "other input columns or types", "version 1", "alcohol"):
        run("dev-odd", action)
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


@pytest.mark.parametrize(
    ("python_model", "words"),
    [(Raising(), ["the cork"]), (Boasting(), ["candidate", "0 to 1"])],
    ids=["raising", "boasting"],
)
def test_a_candidate_that_does_not_answer_properly_is_refused(
    registry: MlflowClient, python_model: Any, words: list[str]
) -> None:
    register(python_model, USUAL)
    with refusal(*words):
        run("dev-odd")
    assert slots_now().holder(Slot.PRODUCTION) is None


def test_a_candidate_without_a_signature_is_refused(champion: Slots) -> None:
    version = register(Constant(), USUAL, signed=False)
    with refusal(f"version {version}"):
        run("dev-odd")
    assert champion.holder(Slot.PRODUCTION) == "1"


def test_a_candidate_that_was_deleted_before_the_swap_is_refused(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    first_in_production.client.delete_model_version(MODEL, "3")
    with refusal("version 3"):
        act(opened, judgement)
    assert first_in_production.holders() == {"production": "1", "staging": None, "previous": None}
    assert run(AGAIN).status == "not better"
    assert first_in_production.intention() is None
    assert first_in_production.archived() == []


def test_a_run_name_without_a_candidate_is_refused(registry: MlflowClient) -> None:
    with refusal("dev-nobody", "part_1_2_training"):
        contest("dev-nobody")


def test_a_run_name_without_prepared_wines_is_refused(registry: MlflowClient) -> None:
    with refusal("dev-nobody", "part_1_1_data_prep"):
        contest("dev-nobody", "Integration")


def test_deployment_without_a_production_table_is_refused(empty_registry: MlflowClient) -> None:
    with refusal("production", "part_0_create_datasets"):
        contest(FIRST)


@pytest.mark.parametrize("quality", [5, 8])
def test_production_wines_of_one_kind_can_not_tell(registry: MlflowClient, quality: int) -> None:
    wines = data.load_wines(tables.production_table()).frame
    tables.production_table().write(wines[(wines["quality"] >= 7) == (quality >= 7)], {})
    with refusal("high quality", "both kinds"):
        run(FIRST)
    assert slots_now().holder(Slot.PRODUCTION) is None


def test_a_champion_that_can_not_be_loaded_is_explained_and_stays(
    champion: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = contest(BETTER)

    def unloadable(uri: str) -> None:
        raise mlflow.MlflowException("The storage is gone.")

    monkeypatch.setattr(mlflow.pyfunc, "load_model", unloadable)
    with refusal("version 1", "storage is gone"):
        judge(opened)
    assert champion.holder(Slot.PRODUCTION) == "1"


# Judging, and showing the outcome


def test_a_judgement_holds_what_it_was_made_from(champion: Slots, production: pd.DataFrame) -> None:
    judgement = judge(contest(BETTER))
    assert judgement.champion_version == "1"
    assert judgement.champion is not None
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
