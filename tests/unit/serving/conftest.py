"""Two small registered versions, and servers in this process."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import uvicorn
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from starlette.types import ASGIApp

from databricks_local.mlflow_server import free_port
from tests.conftest import isolated
from tests.support.models import MODEL
from tests.support.serving_requests import MAX_BODY
from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters
from workshop.core.registry import mlflow_store
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel, load_version, log_candidate
from workshop.core.registry.slots import AliasSlots, Slot
from workshop.serving.app import build

NEVER = 86_400.0
"""Seconds between the looks of a follower whose test calls `look`."""


class Held(AliasSlots):
    """Slots without a registry: `version` holds every slot."""

    def __init__(self, version: str) -> None:
        no_client: Any = None
        super().__init__(no_client, MODEL)
        self.version: str | None = version
        self.models: dict[str, LoadedModel] = {}

    def holder(self, slot: Slot) -> str | None:
        return self.version


@pytest.fixture(scope="session")
def wines() -> pd.DataFrame:
    """Wines with their label."""
    return datasets.prepare(datasets.without_duplicates(read_originals()))


@pytest.fixture(scope="session")
def registered(
    tmp_path_factory: pytest.TempPathFactory, user_home: Path, fresh_store: Path, wines: pd.DataFrame
) -> Path:
    """A store in which versions 1 and 2 are registered, and no slot is held."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(fresh_store, folder)
    with isolated(folder, user_home):
        client = mlflow_store.connect()
        mlflow_store.use_experiment(client, MODEL, "served")
        for seed in (1, 2):
            with mlflow.start_run() as run:
                classifier = RandomForestClassifier(3, random_state=seed).fit(wines[FEATURES], wines[TARGET])
            log_candidate(classifier, run.info.run_id, wines, "development@0", Parameters(run_name="served"))
    return folder


@pytest.fixture
def registry(home: Path, registered: Path) -> MlflowClient:
    """This test's home has the registered versions."""
    home.mkdir()
    shutil.copy(registered / "mlflow.db", home)
    return mlflow_store.connect()


@pytest.fixture(scope="session")
def models(registered: Path, user_home: Path) -> dict[str, LoadedModel]:
    """The registered versions, loaded."""
    with isolated(registered, user_home):
        client = mlflow_store.connect()
        return {version: load_version(client, MODEL, version) for version in ("1", "2")}


@pytest.fixture
def slots(models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch) -> Held:
    """Version 1 holds the slot; versions are loaded from `models`, which a test may add to."""
    held = Held("1")
    held.models = dict(models)
    monkeypatch.setattr(
        "workshop.core.registry.follower.load_version", lambda client, name, version: held.models[version]
    )
    return held


@pytest.fixture
def follower(slots: Held) -> Follower:
    """A follower that looks only when its test calls `look`."""
    return Follower(slots, every=NEVER)


@contextmanager
def running(app: ASGIApp | Any) -> Iterator[str]:
    """The URL of a real server of the app, in a thread of this process."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            threading.Event().wait(0.01)
        assert thread.is_alive()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def server(models: dict[str, LoadedModel]) -> Iterator[str]:
    """A server of version 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workshop.core.registry.follower.load_version", lambda client, name, version: models[version])
        follower = Follower(Held("1"), every=NEVER)
    with running(build(follower, MAX_BODY)) as url:
        yield url


@pytest.fixture(scope="module")
def rows(wines: pd.DataFrame) -> pd.DataFrame:
    """Seven wines, without their label."""
    return wines[FEATURES].tail(7).reset_index(drop=True)
