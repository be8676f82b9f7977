"""One run for each token, and nothing left of it in the workspace, whenever it is stopped or fails."""

import errno
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from databricks_local.workspace import Workspace
from tests.support.commands import workshop_here
from tests.support.databricks_runs import (
    FIRST,
    KilledError,
    die,
    killed_while_it_follows,
    left_in,
    nothing_is_left,
    run,
    submissions,
    summaries,
    when,
)
from tests.unit.databricks.test_target import every_task_succeeds
from workshop.core.errors import WorkshopError
from workshop.databricks import job, leftovers, target, upload
from workshop.databricks.remote_run import RemoteRun
from workshop.databricks.tasks import Tasks
from workshop.runner import interruption, report
from workshop.runner import run as headless_run

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


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["submit", "Tasks"])
def test_a_stop_between_two_steps_cancels_the_run(
    workspace: Workspace, where: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    real_submit = RemoteRun.submit
    if where == "Tasks":

        def interrupted_once(*_: object) -> None:
            monkeypatch.setattr(target, "Tasks", Tasks)
            raise KeyboardInterrupt

        monkeypatch.setattr(target, "Tasks", interrupted_once)
    else:

        def submitted_and_stopped(*arguments: Any) -> None:
            real_submit(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(RemoteRun, "submit", submitted_and_stopped)
    monkeypatch.setattr(headless_run, "_holders_or", lambda *_: pytest.fail("the registry is not read after a stop"))
    assert run().code == 1
    (summary,) = summaries(home)
    (made,) = workspace.runs.values()
    assert (summary["status"], summary["run_page"]) == ("interrupted", made.page)
    assert "Stopped, and the run on Databricks was cancelled (http" in summary["sentence"]
    assert made.result_state == "CANCELED"
    nothing_is_left(workspace)


@pytest.mark.parametrize("times", [1, 2])
def test_a_stop_while_the_run_is_submitted_cancels_the_run(
    workspace: Workspace, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    really = workspace.jobs.submit
    looked_for, started = threading.Event(), threading.Event()

    def stopped_on_its_way(request: Any) -> dict[str, Any]:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            looked_for.wait(0.5)  # time for a client that does not wait for the answer to search for the run in vain
        answer = really(request)
        started.set()
        return answer

    monkeypatch.setattr(workspace.jobs, "submit", stopped_on_its_way)
    monkeypatch.setattr(interruption, "_SECONDS_OF_ONE_REQUEST", 0)
    with when(lambda: "GET /api/2.2/jobs/runs/list" in workspace.requests, looked_for.set):
        ended = run()
    assert ended.code == 1
    if times == 1:
        assert "Stopped, and the run on Databricks was cancelled" in ended.out
    else:
        assert "Stopped while a run was being started on Databricks, which may go on: `workshop databricks" in ended.out
        assert started.wait(10)
        assert len(leftovers.folders()) == 1
        assert workshop_here("databricks", "cancel").code == 0
    nothing_is_left(workspace)
    assert leftovers.folders() == []


@pytest.mark.parametrize("where", ["follow", "submit"])
def test_a_run_that_ended_before_the_stop_keeps_its_result(
    workspace: Workspace, where: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_task_succeeds(workspace, "promoted", monkeypatch)
    real = getattr(RemoteRun, where)

    def stopped_too_late(*arguments: Any) -> None:
        if where == "submit":
            real(*arguments)
        (made,) = workspace.runs
        workspace.wait_for(made)
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteRun, where, stopped_too_late)
    ended = run("--action", "deployment")
    assert (ended.code, ended.err) == (0, "")
    assert "The run had already ended." in ended.out
    (summary,) = summaries(home)
    (made,) = workspace.runs.values()
    assert (summary["status"], summary["run_page"]) == ("promoted", made.page)
    assert summary["outcome"] is not None
    assert [each["status"] for each in summary["notebooks"]] == ["succeeded"] * 3
    nothing_is_left(workspace)
    assert leftovers.folders() == []


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_may_yet_start_is_not_forgotten(
    workspace: Workspace, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_RETRY_SECONDS", "1")
    away: dict[str, Any] = {"status": 503, "error_code": "TEMPORARILY_UNAVAILABLE", "message": "no", "times": 1000}
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", **away)
    with when(lambda: stopped and submissions(workspace) > 0, os.kill, os.getpid(), signal.SIGINT):
        ended = run()
    assert ended.code == 1
    expected = (
        "Stopped while a run was being started on Databricks, which may go on: `workshop databricks cancel`"
        if stopped
        else "A run may still start: `workshop databricks cancel` finds and cancels it."
    )
    assert expected in ended.out + ended.err
    assert len(leftovers.folders()) == 1
    assert workshop_here("databricks", "cancel").code == 0
    assert leftovers.folders() == []


def test_a_stop_without_an_answer_reports_that_a_run_may_go_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "start", interrupt)
    workspace.fail_next("GET /api/2.2/jobs/runs/list", status=403, error_code="PERMISSION_DENIED", message="no")
    assert "`workshop databricks cancel` finds and cancels it" in run().out


def test_an_unexpected_error_leaves_nothing_running(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)

    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(Tasks, "look_at", broken)
    assert run().code == 1
    nothing_is_left(workspace)


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


def test_a_run_that_cannot_be_cancelled_is_reported(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)
    monkeypatch.setattr(RemoteRun, "look", no_more)
    workspace.fail_next("GET /api/2.2/jobs/runs/list", status=403, error_code="PERMISSION_DENIED", message="no")
    ended = run()
    assert len(workspace.active_runs()) == 1
    assert "No more. What was started on Databricks may go on: `workshop databricks cancel`" in ended.err
    assert len(leftovers.folders()) == 1


def no_more(*_: object) -> None:
    raise WorkshopError("No more.")


def test_a_stop_during_the_clean_up_does_not_prevent_the_report(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    real = RemoteRun.clean_up

    def in_a_hurry(*arguments: Any) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(RemoteRun, "clean_up", in_a_hurry)
    assert run().code == 1
    assert summaries(home)[0]["status"] == "failed"


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


def test_an_error_while_a_run_is_followed_cancels_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)
    real = RemoteRun.look

    def fails_once(remote: RemoteRun) -> None:
        monkeypatch.setattr(RemoteRun, "look", real)
        no_more()

    monkeypatch.setattr(RemoteRun, "look", fails_once)
    ended = run()
    assert "Cancelled on Databricks: http" in ended.out
    assert ended.err == "✗ No more.\n"
    nothing_is_left(workspace)


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
