"""Candidates, champions and rows that can't be used, and candidates that a guard vetoes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier

from tests.support.models import MODEL, refusal
from tests.support.promotions import (
    AGAIN,
    BETTER,
    FIRST,
    RENAMED,
    USUAL,
    contest,
    events,
    pending,
    register_fitted,
    register_odd,
    run,
    slots_now,
)
from workshop.core.data import datasets, tables
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.promotion.evaluate import act, judge
from workshop.core.registry.slots import Slot, Slots

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    ("columns", "action"),
    [(RENAMED, "Deployment"), (RENAMED, "Integration"), ({**USUAL, "is_red": "float32"}, "Deployment")],
    ids=["renamed", "renamed, on a branch", "other type"],
)
def test_a_candidate_with_other_input_columns_is_refused(champion: Slots, columns: dict[str, str], action: str) -> None:
    version = register_odd("a constant", columns)
    outcome = run("dev-odd", action)
    assert (outcome.status, outcome.decision.verdict) == ("refused", "refused")
    assert outcome.sentence.startswith(f'Version {version} is refused, since the guard "same inputs as Production"')
    for word in (f"Version {version}", "other input columns or types", "version 1", "alcohol"):
        assert word in outcome.decision.reason
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}
    assert (events()[-1].kind, events()[-1].version) == ("refusal", version)


@pytest.mark.parametrize(
    ("answers", "signed", "words"),
    [
        ("nothing", True, "the cork is stuck"),
        ("more than certain", True, "0 to 1"),
        ("NaN", True, "11 of 1,064 rows with NaN"),
        ("two columns", True, "shape (1064, 2)"),
        ("a constant", False, "was logged without its input columns"),
    ],
)
@pytest.mark.parametrize("held", [True, False], ids=["with a champion", "as the first"])
def test_a_candidate_without_proper_answers_or_signature_is_refused(
    registry: MlflowClient, answers: str, signed: bool, words: str, held: bool
) -> None:
    if held:
        slots_now().assign(Slot.PRODUCTION, "1")
    register_odd(answers, signed=signed)
    outcome = run("dev-odd")
    assert outcome.status == "refused"
    assert words in outcome.decision.reason
    assert slots_now().holder(Slot.PRODUCTION) == ("1" if held else None)


def test_a_candidate_whose_artifacts_are_damaged_is_refused(champion: Slots, production: pd.DataFrame) -> None:
    version = register_fitted(RandomForestClassifier(3).fit(production[FEATURES], production[TARGET]), production)
    source = champion.client.get_model_version_download_uri(MODEL, version)
    (stored,) = Path(mlflow.artifacts.download_artifacts(source)).rglob("classifier.skops")
    stored.write_bytes(stored.read_bytes()[:1000])
    outcome = run("dev-odd")
    assert outcome.status == "refused"
    assert "its artifacts are missing, damaged or not trusted" in outcome.decision.reason
    assert champion.holders() == {"production": "1", "staging": None, "previous": None}


def test_a_better_candidate_that_is_worse_on_red_wines_is_vetoed(champion: Slots, production: pd.DataFrame) -> None:
    red = production["is_red"] == 1
    by_chance = np.random.default_rng(0).permutation(production[TARGET])
    learned = np.where(red, by_chance, production[TARGET])
    version = register_fitted(RandomForestClassifier(30, random_state=0).fit(production[FEATURES], learned), production)
    outcome = run("dev-odd", detectable_improvement=0.1)
    assert (outcome.status, outcome.decision.verdict) == ("vetoed", "vetoed")
    assert outcome.decision.lower_bound is not None and outcome.decision.lower_bound > 0
    assert [guard.name for guard in outcome.decision.vetoes] == ["not worse on red wines"]
    sentence = f'Version {version} is better than version 1 on production wines overall, but the guard "not worse on '
    assert sentence in outcome.sentence
    assert champion.holder(Slot.PRODUCTION) == "1"
    assert run("dev-odd", detectable_improvement=0.1, slice_tolerance=0.4).status == "promoted"


def test_too_few_wines_for_a_verdict_are_a_veto(champion: Slots) -> None:
    outcome = run(BETTER, detectable_improvement=0.001)
    assert outcome.status == "vetoed"
    assert "202 wines of high quality and 862 others (needs " in outcome.decision.reason
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


def test_a_contest_without_its_candidate_or_wines_is_refused(registry: MlflowClient, home: Path) -> None:
    with refusal("dev-new", "part_1_2_training"):
        contest("dev-new")
    with refusal("dev-new", "part_1_1_data_prep"):
        contest("dev-new", "Integration")
    shutil.rmtree(home / "data" / "production")
    with refusal("production", "part_0_create_datasets"):
        contest(FIRST)


@pytest.mark.parametrize("quality", [5, 8])
def test_production_wines_of_one_kind_are_refused(registry: MlflowClient, quality: int) -> None:
    wines = datasets.load_wines(tables.production_table()).frame
    tables.production_table().write(wines[(wines["quality"] >= 7) == (quality >= 7)], {})
    outcome = run(FIRST)
    assert outcome.status == "refused"
    assert "both kinds" in outcome.decision.reason
    assert slots_now().holder(Slot.PRODUCTION) is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda wines: wines.drop(columns="ph"), "the column ph is missing"),
        (lambda wines: wines.assign(alcohol=wines["alcohol"] * 10), "alcohol should be in_range(5.0, 20.0)"),
    ],
    ids=["a column less", "another unit"],
)
def test_production_wines_that_do_not_fit_their_schema_are_refused(
    champion: Slots, spoil: Callable[[pd.DataFrame], pd.DataFrame], words: str, home: Path
) -> None:
    table = tables.production_table()
    wines = spoil(table.read().frame)
    shutil.rmtree(home / "data" / table.name)
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
