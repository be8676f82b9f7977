"""A delivery with a real MLflow server, and a notebook without its server."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from databricks_local.mlflow_server import free_port, mlflow_server
from tests.support.commands import workshop_here
from workshop.cli import status
from workshop.core.data import tables
from workshop.core.data.schemas import FEATURES
from workshop.runner.notebooks import select
from workshop.runner.papermill_run import Job, execute

pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_a_consumer_loads_the_model_from_the_server(
    home: Path, fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = tmp_path / "mlflow.db"
    shutil.copy(fresh_store, backend)
    with mlflow_server(tmp_path / "server", f"sqlite:///{backend.as_posix()}") as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        delivered = workshop_here("run", "--action", "deployment", "--scoring")
        assert delivered.code == 0, delivered.out + delivered.err
        assert status.read("wine_quality")["slots"]["production"]["version"] == "1"
        assert not (home / "mlflow.db").exists()

        version = MlflowClient(uri).get_model_version_by_alias("wine_quality", "production")
        assert version.tags["workshop.status"] == "promoted"
        mlflow.set_tracking_uri(uri)
        answers = mlflow.pyfunc.load_model("models:/wine_quality@production").predict(
            tables.production_table().read().frame[FEATURES]
        )
        assert (answers.shape, answers.min() >= 0, answers.max() <= 1) == ((1064,), True, True)


def test_a_missing_server_ends_a_notebook_in_one_sentence(home: Path, tmp_path: Path) -> None:
    # 1_2 alone: the runner would find out before.
    (training,) = select(["1_2"])
    uri = f"http://127.0.0.1:{free_port()}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    result = execute(Job(training, tmp_path / "executed.ipynb", {}, environment), lambda _: None)
    assert result.error is not None
    assert result.error.message.startswith(f"No MLflow server found at {uri}")
