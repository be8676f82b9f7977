"""The marker file of a run, and `workshop databricks cancel`."""

import io
import os
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import FIRST, killed_while_it_follows, left_in, looks, run, when
from tests.unit.databricks.test_interruption import started
from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings
from workshop.databricks import leftovers
from workshop.databricks.remote_run import RemoteRun, RunMarker
from workshop.runner.progress import PlainProgress

pytestmark = pytest.mark.integration
FRESH = RunMarker(
    host="https://x.azuredatabricks.net",
    submission_id="c0de",
    pid=17,
    pipelines_run="",
    token="c0ffee",
    place="/Workspace/Shared/workshop/code/x",
)


@pytest.fixture
def killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a run whose client was killed while it followed."""
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    assert len(workspace.active_runs()) == 1
    return workspace


def cancelled() -> tuple[int, str]:
    """Cancel, and return how many runs there were and the printed lines."""
    out = io.StringIO()
    return leftovers.cancel(PlainProgress(Console(file=out, width=200))), out.getvalue()


def test_the_run_of_a_killed_client_is_cancelled_and_its_code_removed(
    killed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_FOLDER", "/Workspace/Shared/elsewhere")  # its code is in the marker's
    count, printed = cancelled()
    assert count == 1
    assert f"Signing in to {killed.host}.\nCancelled on Databricks: {killed.host}" in printed
    assert (killed.active_runs(), left_in(killed)) == ([], [])
    assert cancelled() == (0, "")


def test_the_code_of_a_run_that_has_ended_meanwhile_is_removed(killed: Workspace) -> None:
    (made,) = killed.active_runs()
    killed.outcomes[FIRST] = "FAILED"
    killed.release(FIRST)
    killed.wait_for(made.run_id)
    (folder,) = leftovers.folders()
    printed = f"Signing in to {killed.host}.\nThe run of {folder.name} was no longer active; its code is removed.\n"
    assert cancelled() == (1, printed)
    assert left_in(killed) == []


def test_runs_of_another_home_go_on(killed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path / "another"))
    before = len(killed.requests)
    assert cancelled() == (0, "")
    assert (len(killed.active_runs()), len(killed.requests)) == (1, before)


def test_the_next_run_mentions_one_that_may_go_on(killed: Workspace) -> None:
    (folder,) = leftovers.folders()
    out = io.StringIO()
    leftovers.mention("another", PlainProgress(Console(file=out, width=200)))
    assert f"{folder.name} was stopped before it could cancel its run on Databricks, which may go on" in out.getvalue()
    left = leftovers.read(folder)
    assert left is not None
    leftovers.mention(left.token, PlainProgress(Console(file=out, width=200)))
    assert out.getvalue().count(folder.name) == 1


def test_a_damaged_marker_does_not_keep_other_runs_active(killed: Workspace, home: Path) -> None:
    damaged = home / "runs" / "20200101T000000Z-x"
    damaged.mkdir()
    (damaged / "on-databricks.json").write_text("{", encoding="utf-8")
    with pytest.raises(WorkshopError, match=r"on-databricks\.json is damaged"):
        cancelled()
    assert (killed.active_runs(), left_in(killed)) == ([], [])


def test_a_run_on_another_workspace_is_not_forgotten(killed: Workspace, tmp_path: Path, home: Path) -> None:
    (folder,) = leftovers.folders()
    left = leftovers.read(folder)
    assert left is not None and left.host == killed.host
    moved = left.model_copy(update={"host": "https://another.azuredatabricks.net"})
    (folder / "on-databricks.json").write_text(moved.model_dump_json(), encoding="utf-8")
    with pytest.raises(WorkshopError, match=r"was started on https://another\.azuredatabricks\.net: set "):
        cancelled()
    assert (len(killed.active_runs()), leftovers.folders()) == (1, [folder])


def test_a_pipelines_job_that_is_cancelled_stops_its_own_process(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"BUILD_BUILDID": "17", "SYSTEM_JOBNAME": "deliver"}.items():
        monkeypatch.setenv(name, value)
    client = started(workspace)
    monkeypatch.setattr(leftovers, "_SECONDS_TO_LOOK", 0)
    count, _ = cancelled()
    assert count == 1
    out, err = client.communicate(timeout=60)
    assert client.returncode == 1, out + err
    assert "Stopped, and the run on Databricks was cancelled" in out
    assert (workspace.active_runs(), left_in(workspace), leftovers.folders()) == ([], [], [])


def test_a_process_that_reads_a_marker_is_waited_for(killed: Workspace) -> None:
    (folder,) = leftovers.folders()
    looks_at_it = FileLock(current_settings().lock_file(f"databricks-{folder.name}"), thread_local=False)
    looks_at_it.acquire()
    soon = threading.Timer(0.3, looks_at_it.release)
    soon.start()
    assert cancelled()[0] == 1
    soon.join()
    assert (killed.active_runs(), leftovers.folders()) == ([], [])


def test_a_process_that_cancels_a_run_takes_its_marker(killed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = leftovers.folders()
    left = leftovers.read(folder)
    assert left is not None
    dead = left.model_copy(update={"pid": 1, "pipelines_run": "this very job"})
    (folder / "on-databricks.json").write_text(dead.model_dump_json(), encoding="utf-8")
    killed.fail_next("POST /api/2.2/jobs/runs/cancel", status=403, error_code="PERMISSION_DENIED", message="no")
    with pytest.raises(WorkshopError, match="does not let you cancel the run"):
        cancelled()
    assert leftovers.read(folder) == left.model_copy(update={"pid": os.getpid(), "pipelines_run": ""})


def test_a_run_that_is_followed_is_left_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_SECONDS_TO_LOOK", 0)
    workspace.hold(FIRST)
    workspace.outcomes[FIRST] = "FAILED"
    results: list[tuple[int, str]] = []

    def try_to_cancel() -> None:
        results.append(cancelled())
        workspace.release(FIRST)

    with when(lambda: looks(workspace) > 2, try_to_cancel):
        assert run().code == 1
    ((count, printed),) = results
    assert count == 0
    assert f"is not cancelled: the process {os.getpid()} follows it." in printed
    assert next(iter(workspace.runs.values())).result_state == "FAILED"


def test_a_run_that_could_not_be_cancelled_can_be_later(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteRun, "follow", stopped)
    workspace.fail_next("POST /api/2.2/jobs/runs/cancel", status=403, error_code="PERMISSION_DENIED", message="no")
    ended = run()
    assert ended.code == 1
    assert "the run on Databricks may go on" in ended.out
    assert len(workspace.active_runs()) == len(leftovers.folders()) == 1
    assert cancelled()[0] == 1
    assert (workspace.active_runs(), left_in(workspace)) == ([], [])


def test_a_marker_stays_until_it_is_removed_and_is_not_claimed_from_a_live_process(home: Path) -> None:
    folder = home / "runs" / "20261125T120000Z-main"
    folder.mkdir(parents=True)
    with leftovers.marked(folder, FRESH), leftovers.claimed(folder) as found:
        assert found is None
    assert leftovers.folders() == [folder]
    with leftovers.claimed(folder) as found:
        assert found == FRESH
        leftovers.forget(folder, PlainProgress(Console(file=io.StringIO())))
    assert leftovers.folders() == []
