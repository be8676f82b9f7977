"""The fixture of a workspace that is set up well."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from databricks_local import workspace as stand_in
from databricks_local.workspace import Workspace
from tests.support.doctor import COMMIT
from workshop.doctor import workspace


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A set-up in which everything holds."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_", "TF_BUILD"))]:
        monkeypatch.delenv(name)
    cluster = {"0923-1": {"state": "RUNNING", "permitted": True, "cluster_name": "shared"}}
    with stand_in.running(tmp_path / "workspace", clusters=cluster) as there:
        for name, value in {
            "HOME": str(tmp_path),
            "DATABRICKS_HOST": there.host,
            "DATABRICKS_TOKEN": there.token,
            "WORKSHOP_GIT_COMMIT": COMMIT,
            "WORKSHOP_DATABRICKS_HOME": f"{there.home}/wine",
            "WORKSHOP_TABLES": "main.workshop",
            "WORKSHOP_DATABRICKS_COMPUTE": "cluster",
            "WORKSHOP_DATABRICKS_CLUSTER_ID": "0923-1",
        }.items():
            monkeypatch.setenv(name, value)
        there.catalog.tables.update({"main.workshop.development", "main.workshop.production"})
        monkeypatch.setattr(workspace, "_SECONDS_TO_RETRY", 1)
        yield there
