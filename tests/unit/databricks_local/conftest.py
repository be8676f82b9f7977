"""The fixtures of a workspace without credentials in the environment."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from databricks_local import workspace as stand_in
from databricks_local.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A running workspace with one cluster that may be used, and one that may not."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_"))]:
        monkeypatch.delenv(name)
    clusters: dict[str, dict[str, Any]] = {"ours": {"state": "TERMINATED"}, "theirs": {"permitted": False}}
    with stand_in.running(tmp_path / "workspace", clusters=clusters) as running:
        yield running
