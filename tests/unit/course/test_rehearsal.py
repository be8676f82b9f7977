"""The automated participant's environment leads nowhere else."""

from pathlib import Path

import pytest

from workshop.course import rehearsal


@pytest.mark.parametrize(
    "name",
    ["DATABRICKS_HOST", "GIT_DIR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MLFLOW_TRACKING_URI", "WORKSHOP_HOME"],
)
def test_a_variable_of_the_user_does_not_reach_the_participant(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    environment = rehearsal.environment(tmp_path)
    assert name not in environment
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert environment["HOME"] == str(tmp_path / "home")
