"""The workshop's own notebooks on Databricks, as the stand-in runs them: for real, in order, each in its own kernel."""

import shutil
from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.support.commands import latest_summary, workshop_here
from tests.support.databricks_runs import nothing_is_left, run, submissions, summaries, without_times_and_places

pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_a_deployment_is_the_same_there_as_on_a_laptop(
    workspace: Workspace, commit: str, home: Path, delivered: Path, tmp_path: Path
) -> None:
    shutil.copytree(delivered / "data", workspace.root / workspace.home.lstrip("/") / "home" / "data")
    ended = run("--action", "deployment", "--publish", str(tmp_path / "published"))
    assert ended.code == 0, ended.out + ended.err
    assert "Version 1 is promoted: it is the first to hold Production." in ended.out

    (there,), here = summaries(home), latest_summary(delivered)
    assert (there["git_commit"], there["submitted_by"]) == (commit, workspace.client_id)
    assert "Signed in as the service principal workshop-cd.\n" in ended.out
    assert without_times_and_places(there) == {**without_times_and_places(here), "git_commit": commit}
    assert (tmp_path / "published" / "decision.md").exists()
    assert (tmp_path / "published" / "decision.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (tmp_path / "published" / "report.html").read_text(encoding="utf-8")
    assert all((tmp_path / "published" / f"{each['name']}.html").exists() for each in there["notebooks"])

    # The original starts a cluster for each notebook.
    assert (workspace.cluster_starts, submissions(workspace)) == (1, 1)
    nothing_is_left(workspace)

    status = workshop_here("status", "--json")
    assert '"version": "1"' in status.out, status.err

    texts = [ended.out, ended.err, *(path.read_text("utf-8", "replace") for path in _files(home, tmp_path, workspace))]
    assert [secret for secret in workspace.secrets if any(secret in text for text in texts)] == []

    followed = run("--follow", str(next(iter(workspace.runs))))
    assert followed.code == 0, followed.out + followed.err
    assert without_times_and_places(summaries(home)[-1]) == without_times_and_places(there)


def _files(home: Path, folder: Path, workspace: Workspace) -> list[Path]:
    """Whatever a run leaves: here, in what it publishes, and in the workspace."""
    kept = [*home.rglob("*"), *(folder / "published").rglob("*"), *workspace.root.rglob("*")]
    return [path for path in [*kept, *workspace.executed.values()] if path.is_file()]
