"""One run for each token, and nothing left of it in the workspace, whenever it is stopped or fails."""

import errno
import re
from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import (
    FIRST,
    KilledError,
    die,
    interrupt,
    killed_while_it_follows,
    left_in,
    no_more,
    nothing_is_left,
    run,
    summaries,
)
from workshop.databricks import leftovers, upload
from workshop.databricks.remote_run import RemoteRun
from workshop.runner import report

pytestmark = pytest.mark.integration


@pytest.fixture
def in_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job of one pipeline's run."""
    monkeypatch.setenv("BUILD_BUILDID", "17")
    monkeypatch.setenv("SYSTEM_JOBNAME", "deliver")


def test_different_work_in_one_pipeline_job_starts_different_runs(workspace: Workspace, in_a_pipeline: None) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    for more in (["-p", "seed=1"], ["-p", "seed=2"], ["--run-name", "another"], ["--notebooks", "1_1"]):
        assert "started before" not in run(*more).out
    assert len({made.name for made in workspace.runs.values()}) == 4


def test_a_second_client_that_is_refused_leaves_the_run_of_the_first_and_its_code(
    workspace: Workspace, in_a_pipeline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    there = left_in(workspace)
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", status=403, error_code="PERMISSION_DENIED", message="no")
    assert run().code == 1
    assert (len(workspace.active_runs()), left_in(workspace)) == (1, there)

    monkeypatch.setattr(upload, "of_commit", interrupt)
    stopped = run()
    assert "Stopped before the run was started on Databricks" in stopped.out
    assert (len(workspace.active_runs()), left_in(workspace)) == (1, there)


def test_calls_that_fail_for_a_moment_are_repeated(workspace: Workspace) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    workspace.fail_next("POST /api/2.0/workspace/import", status=503, error_code="TEMPORARILY_UNAVAILABLE")
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", status=500, error_code="INTERNAL_ERROR")
    workspace.fail_next("POST /api/2.0/workspace/delete", status=500, error_code="INTERNAL_ERROR")
    assert run().code == 1
    assert len(workspace.runs) == 1
    nothing_is_left(workspace)


def test_only_a_folder_of_a_runs_code_is_removed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    monkeypatch.setattr(upload, "place_of", lambda *_: "/Workspace/Shared/precious")
    assert "is not a folder of a run's code, so it is left alone" in run().out
    (made,) = workspace.runs
    assert "is not a folder of a run's code, so it is left alone" in run("--follow", str(made)).out
    assert (workspace.root / "Workspace" / "Shared" / "precious").is_dir()


def test_the_result_is_printed_even_if_it_cannot_be_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr(report, "write", full)
    ended = run()
    assert ended.code == 1
    (made,) = workspace.runs
    assert re.search(
        rf"{FIRST}, on Databricks: .+/run/{made}\); but its results could not be kept: .+ the disk is full", ended.err
    )
    nothing_is_left(workspace)


def test_a_marker_that_cannot_be_removed_changes_no_result(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    real = Path.unlink

    def read_only(path: Path, missing_ok: bool = False) -> None:
        if path.name == "on-databricks.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", read_only)
    with monkeypatch.context() as patch:
        patch.setattr(upload, "of_commit", interrupt)
        assert "Stopped before the run was started" in run().out
    ended = run()
    assert f"{FIRST}, on Databricks: " in ended.out
    assert ended.out.index("on-databricks.json") < ended.out.index("Report: ")
    assert ended.err == ""


def test_the_report_is_written_before_the_clean_up(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    monkeypatch.setattr(RemoteRun, "clean_up", die)
    with pytest.raises(KilledError):
        run()
    (summary,) = summaries(home)
    assert (summary["status"], Path(summary["report"]).is_file()) == ("failed", True)
    assert leftovers.folders() == [Path(summary["report"]).parent]


def test_a_second_call_that_is_refused_leaves_the_run_that_it_follows(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_IDEMPOTENCY_TOKEN", "build 17")
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    (made,) = workspace.active_runs()
    there = left_in(workspace)
    monkeypatch.setattr(RemoteRun, "look", no_more)
    ended = run()
    assert f"No more. Whether the run goes on is on its page, {made.page}; `workshop run --follow" in ended.err
    assert workspace.active_runs() == [made]
    assert left_in(workspace) == there


def test_a_failed_run_is_reported_again_and_another_attempt_of_the_job_starts_anew(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_BUILDID", "17")
    monkeypatch.setenv("SYSTEM_JOBATTEMPT", "1")
    workspace.outcomes[FIRST] = "FAILED"
    assert "started before" not in run().out
    again = run()
    assert again.code == 1
    assert "This run was started before: no second one is started." in again.out
    assert len(workspace.runs) == 1
    monkeypatch.setenv("SYSTEM_JOBATTEMPT", "2")
    assert "started before" not in run().out
    assert len(workspace.runs) == 2
    nothing_is_left(workspace)
