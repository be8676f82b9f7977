"""The wines, and a few small models, fitted and registered once for all tests."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from xgboost import XGBClassifier

from tests.conftest import isolated
from tests.support.models import MODEL, Gallery
from workshop.core.data import datasets
from workshop.core.data import tables as delta
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters
from workshop.core.promotion import evaluate
from workshop.core.registry import mlflow_store, model
from workshop.core.registry.slots import Slot, Slots, open_slots


@pytest.fixture(scope="session")
def originals() -> pd.DataFrame:
    """All wines, duplicates and all."""
    return read_originals()


@pytest.fixture(scope="session")
def wine_tables(tmp_path_factory: pytest.TempPathFactory, user_home: Path) -> Path:
    """A `data` folder with the development and the production table."""
    folder = tmp_path_factory.mktemp("tables")
    with isolated(folder, user_home):
        datasets.create_datasets()
    return folder / "data"


@pytest.fixture
def tables(home: Path, wine_tables: Path) -> None:
    """The development and the production table, in this test's home."""
    shutil.copytree(wine_tables, home / "data")


@pytest.fixture(scope="session")
def split(originals: pd.DataFrame) -> datasets.Split:
    """The prepared wines, split."""
    development, _ = datasets.split_off_production(originals, 42)
    return datasets.split_prepared(datasets.prepare(development))


@pytest.fixture(scope="session")
def production(originals: pd.DataFrame) -> pd.DataFrame:
    """The production wines with their label."""
    return datasets.prepare(datasets.split_off_production(originals, 42)[1])


@pytest.fixture(scope="session")
def classifiers(split: datasets.Split) -> dict[str, Any]:
    """Fitted classifiers by the run name that each is registered under."""
    first = RandomForestClassifier(10, random_state=0)
    better = XGBClassifier(n_estimators=200, max_depth=6, learning_rate=0.05, random_state=0, n_jobs=1)
    rival = RandomForestClassifier(60, random_state=1)
    for classifier in (first, better, rival):
        classifier.fit(split.train[FEATURES], split.train[TARGET])
    return {"first": first, "again": first, "better": better, "rival": rival}


@pytest.fixture(scope="session")
def gallery(
    tmp_path_factory: pytest.TempPathFactory,
    user_home: Path,
    fresh_store: Path,
    wine_tables: Path,
    classifiers: dict[str, Any],
    split: datasets.Split,
) -> Gallery:
    """The classifiers, registered, with the tables; copy it with `hang_in`."""
    home = tmp_path_factory.mktemp("gallery")
    shutil.copy(fresh_store, home)
    shutil.copytree(wine_tables, home / "data")
    with isolated(home, user_home):
        client = mlflow_store.connect()
        development = datasets.load_wines(delta.development_table())
        for run_name, classifier in classifiers.items():
            datasets.save_prepared(datasets.prepare(development.frame), run_name, development)
            mlflow_store.use_experiment(client, MODEL, run_name)
            with mlflow.start_run() as run:
                pass
            model.log_candidate(
                classifier, run.info.run_id, split.train, "development@0", Parameters(run_name=run_name)
            )
    return Gallery(home, classifiers)


@pytest.fixture
def registry(home: Path, gallery: Gallery) -> MlflowClient:
    """The store of this test's home, with the gallery's tables and registered models."""
    gallery.hang_in(home)
    return mlflow_store.connect()


@pytest.fixture
def empty_registry(home: Path, fresh_store: Path) -> MlflowClient:
    """The empty store of this test's home."""
    home.mkdir()
    shutil.copy(fresh_store, home)
    return mlflow_store.connect()


@pytest.fixture(params=["alias", pytest.param("stage", marks=pytest.mark.thorough)])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The form of slots; `make thorough` runs each test with stages, `make test` those of test_slots and test_swap."""
    monkeypatch.setenv("WORKSHOP_SLOTS", request.param)
    return str(request.param)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No drawing, which takes longer than the rest; test_plots_in_mlflow covers it."""
    monkeypatch.setattr(evaluate, "illustrate", lambda *_: None)


@pytest.fixture
def first_in_production(kind: str, registry: MlflowClient) -> Slots:
    """Slots of which only Production is held, by version 1."""
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    return slots


@pytest.fixture
def champion(registry: MlflowClient) -> Slots:
    """The same with aliases only, for tests that do not depend on the form of slots."""
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    return slots
