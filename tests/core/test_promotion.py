import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier

from tests.core.contests import (
    AGAIN,
    BETTER,
    FIRST,
    RENAMED,
    RIVAL,
    USUAL,
    contest,
    events,
    register_fitted,
    register_odd,
    run,
    slots_now,
)
from tests.core.helpers import MODEL, Gallery, refusal
from workshop.core import data, promotion, tables
from workshop.core.history import Event, History
from workshop.core.outcome import Outcome
from workshop.core.promotion import Contest, Judgement, act, judge
from workshop.core.schemas import FEATURES, TARGET
from workshop.core.slots import AliasSlots, Slot, Slots, open_slots


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest, and test_illustration sees to it."""
    monkeypatch.setattr(promotion, "illustrate", lambda *_: None)


def pending() -> list[Event]:
    """The swaps that nobody has brought to their end."""
    return History(MlflowClient(), MODEL).pending()


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
        if slot is not Slot.PRODUCTION:
            return None
        looked.append("12"[len(looked) % 2])
        return looked[-1]

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
    assert pending() == []


# Candidates and rows that can't be used


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
    version = register_odd("a constant", columns)
    outcome = run("dev-odd", action)
    assert (outcome.status, outcome.decision.verdict) == ("refused", "refused")
    assert outcome.sentence.startswith(f"Version {version} is refused, since the guard «same inputs as Production»")
    for word in (f"Version {version}", "other input columns or types", "version 1", "alcohol"):
        assert word in outcome.decision.reason
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}
    assert (events()[-1].kind, events()[-1].version) == ("refusal", version)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("nothing", ["the cork is stuck"]),
        ("more than certain", ["candidate", "0 to 1"]),
        ("NaN", ["11 of 1,064 rows with NaN"]),
        ("two columns", ["shape (1064, 2)"]),
    ],
)
@pytest.mark.parametrize("held", [True, False], ids=["with a champion", "as the first"])
def test_a_candidate_that_does_not_answer_properly_is_refused(
    registry: MlflowClient, answers: str, words: list[str], held: bool
) -> None:
    if held:
        slots_now().assign(Slot.PRODUCTION, "1")
    register_odd(answers)
    outcome = run("dev-odd")
    assert outcome.status == "refused"
    for word in words:
        assert word in outcome.decision.reason
    assert slots_now().holder(Slot.PRODUCTION) == ("1" if held else None)


@pytest.mark.parametrize("held", [True, False], ids=["with a champion", "as the first"])
def test_a_candidate_without_a_signature_is_refused(registry: MlflowClient, held: bool) -> None:
    if held:
        slots_now().assign(Slot.PRODUCTION, "1")
    version = register_odd("a constant", signed=False)
    outcome = run("dev-odd")
    assert outcome.status == "refused"
    assert f"Version {version} does not say which columns it takes" in outcome.decision.reason
    assert slots_now().holder(Slot.PRODUCTION) == ("1" if held else None)


def test_a_candidate_whose_artifacts_are_damaged_is_refused(champion: Slots, production: pd.DataFrame) -> None:
    version = register_fitted(RandomForestClassifier(3).fit(production[FEATURES], production[TARGET]), production)
    source = champion.client.get_model_version_download_uri(MODEL, version)
    (stored,) = Path(mlflow.artifacts.download_artifacts(source)).rglob("classifier.skops")
    stored.write_bytes(stored.read_bytes()[:1000])
    outcome = run("dev-odd")
    assert outcome.status == "refused"
    assert "its artifacts are gone, damaged or not trusted" in outcome.decision.reason
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


def test_a_candidate_that_is_worse_on_red_wines_is_vetoed_however_good_it_is_on_the_whole(
    champion: Slots, production: pd.DataFrame
) -> None:
    red = production["is_red"] == 1
    by_chance = np.random.default_rng(0).permutation(production[TARGET])
    learned = np.where(red, by_chance, production[TARGET])
    version = register_fitted(RandomForestClassifier(30, random_state=0).fit(production[FEATURES], learned), production)
    outcome = run("dev-odd", detectable_improvement=0.1)
    assert (outcome.status, outcome.decision.verdict) == ("vetoed", "vetoed")
    assert outcome.decision.lower_bound is not None and outcome.decision.lower_bound > 0
    assert [guard.name for guard in outcome.decision.vetoes] == ["not worse on red wines"]
    assert f"Version {version} is better than version 1 overall, but the guard «not worse on red" in outcome.sentence
    assert champion.holder(Slot.PRODUCTION) == "1"
    assert run("dev-odd", detectable_improvement=0.1, slice_tolerance=0.4).status == "promoted"


def test_too_few_wines_to_tell_are_a_veto(champion: Slots) -> None:
    outcome = run(BETTER, detectable_improvement=0.001)
    assert outcome.status == "vetoed"
    assert "there are 202 and 862" in outcome.decision.reason
    assert champion.holder(Slot.PRODUCTION) == "1"


def test_a_candidate_that_was_deleted_before_the_swap_is_refused(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    first_in_production.client.delete_model_version(MODEL, "3")
    with refusal("version 3"):
        act(opened, judgement)
    assert first_in_production.holders() == {"production": "1", "staging": None, "previous": None}
    assert run(AGAIN).status == "not better"
    assert pending() == []
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
    outcome = run(FIRST)
    assert outcome.status == "refused"
    assert "both kinds" in outcome.decision.reason
    assert slots_now().holder(Slot.PRODUCTION) is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda wines: wines.head(0), "it has no rows"),
        (lambda wines: wines.drop(columns="ph"), "the column ph is missing"),
        (lambda wines: wines.assign(alcohol=wines["alcohol"] * 10), "alcohol should be in_range(5.0, 20.0)"),
    ],
    ids=["empty", "a column less", "another unit"],
)
def test_production_wines_that_do_not_fit_their_schema_are_refused(
    champion: Slots, spoil: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    table = tables.production_table()
    wines = spoil(table.read().frame)
    shutil.rmtree(table.path)
    table.write(wines, {})
    outcome = run(BETTER)
    assert outcome.status == "refused"
    assert words in outcome.decision.reason
    assert [guard.name for guard in outcome.decision.guards] == ["data fit the schema"]
    assert champion.holder(Slot.PRODUCTION) == "1"


def test_a_champion_that_can_not_be_loaded_is_explained_and_stays(
    champion: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = contest(BETTER)

    def unloadable(uri: str) -> None:
        raise mlflow.MlflowException("The storage is gone.")

    monkeypatch.setattr(mlflow.pyfunc, "load_model", unloadable)
    with refusal("version 1", "storage is gone", "workshop rollback --to"):
        judge(opened)
    assert champion.holder(Slot.PRODUCTION) == "1"


# Looks, reproduction, drift


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
    assert note.startswith("Whether it reproduces version 5, which CI has staged, can't be said")


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
    assert same.decision.notes == ["It reproduces version 1, which CI has staged: the same answers to all 1,064 wines."]
    (other,) = run(BETTER).decision.notes
    assert other.startswith("It is another model than version 1, which CI has passed and staged: ")
    slots.client.delete_model_version(MODEL, "1")
    assert run(RIVAL).decision.notes[1:] == []


def test_drift_is_measured_from_the_training_wines_and_does_not_veto(champion: Slots) -> None:
    table = tables.production_table()
    wines = table.read().frame
    table.write(wines.assign(alcohol=wines["alcohol"] + 1.5), {})
    outcome = run(BETTER)
    assert outcome.drift["alcohol"] > 0.25 > outcome.drift["ph"]
    assert [guard for guard in outcome.decision.guards if "drift" in guard.name] == []


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
