"""A workspace to run on, and a commit of the checkout, also of changes that are not committed yet."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from databricks_local.mlflow_server import mlflow_server
from databricks_local.workspace import Workspace, running
from tests.support.databricks_runs import environment_of
from workshop.core.settings import PACKAGE

_CHECKOUT = PACKAGE.parents[1]


def git(*arguments: str) -> str:
    """Run Git in this checkout and return its output."""
    command = ["git", "-C", str(_CHECKOUT), "-c", "user.name=tests", "-c", "user.email=tests@example.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def commit() -> str:
    """A commit of the checkout's tracked files as they are now."""
    return git("stash", "create") or git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty MLflow server."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), hands_out_artifacts=False) as uri:
        yield uri


@pytest.fixture
def workspace(served: str, tmp_path: Path, commit: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace for runs, and their environment."""
    with running(tmp_path / "workspace", served) as workspace:
        for name, value in environment_of(workspace, commit).items():
            monkeypatch.setenv(name, value)
        yield workspace
