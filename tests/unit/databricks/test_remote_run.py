"""One run for one token, and nothing left of it in the workspace, whoever does what at whichever moment."""

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


def test_two_things_that_one_job_of_a_pipeline_runs_are_two_runs(workspace: Workspace, in_a_pipeline: None) -> None:
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
def test_somebody_who_stops_it_at_an_odd_moment_stops_the_run(
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
    monkeypatch.setattr(headless_run, "_holders_or", lambda *_: pytest.fail("nobody waits for a registry then"))
    assert run().code == 1
    (summary,) = summaries(home)
    (made,) = workspace.runs.values()
    assert (summary["status"], summary["run_page"]) == ("interrupted", made.page)
    assert "Stopped, and the run on Databricks was cancelled (http" in summary["sentence"]
    assert made.result_state == "CANCELED"
    nothing_is_left(workspace)


@pytest.mark.parametrize("times", [1, 2])
def test_who_stops_it_while_the_run_is_being_started_stops_the_run(
    workspace: Workspace, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    really = workspace.jobs._submit
    looked_for, started = threading.Event(), threading.Event()

    def stopped_on_its_way(request: Any) -> dict[str, Any]:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            looked_for.wait(0.5)  # as long as it takes who does not wait for the answer to look for the run in vain
        answer = really(request)
        started.set()
        return answer

    monkeypatch.setattr(workspace.jobs, "_submit", stopped_on_its_way)
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
def test_what_has_ended_before_it_was_stopped_has_done_what_it_has_done(
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
    assert "It had ended before it was cancelled." in ended.out
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
    said = (
        "Stopped while a run was being started on Databricks, which may go on: `workshop databricks cancel`"
        if stopped
        else "Whether it starts yet is not known: `workshop databricks cancel` looks for it and ends it."
    )
    assert said in ended.out + ended.err
    assert len(leftovers.folders()) == 1
    assert workshop_here("databricks", "cancel").code == 0
    assert leftovers.folders() == []


def test_who_is_stopped_while_nothing_answers_says_that_a_run_may_go_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "start", interrupt)
    workspace.fail_next("GET /api/2.2/jobs/runs/list", status=403, error_code="PERMISSION_DENIED", message="no")
    assert "`workshop databricks cancel` looks for it and ends it" in run().out


def test_an_error_of_our_own_leaves_nothing_running(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)

    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(Tasks, "look_at", broken)
    assert run().code == 1
    nothing_is_left(workspace)


def test_what_the_service_could_not_do_at_once_is_asked_again(workspace: Workspace) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    workspace.fail_next("POST /api/2.0/workspace/import", status=503, error_code="TEMPORARILY_UNAVAILABLE")
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", status=500, error_code="INTERNAL_ERROR")
    workspace.fail_next("POST /api/2.0/workspace/delete", status=500, error_code="INTERNAL_ERROR")
    assert run().code == 1
    assert len(workspace.runs) == 1
    nothing_is_left(workspace)


def test_following_a_run_removes_no_folder_that_is_none_of_a_runs_code(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    monkeypatch.setattr(upload, "place_of", lambda *_: "/Workspace/Shared/precious")
    assert "is no folder that a run's code is put into, so it is left alone" in run().out
    (made,) = workspace.runs
    assert "is no folder that a run's code is put into, so it is left alone" in run("--follow", str(made)).out
    assert (workspace.root / "Workspace" / "Shared" / "precious").is_dir()


def test_what_came_of_a_run_is_said_even_where_nothing_can_be_kept(
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
        rf"{FIRST}, on Databricks: .+/run/{made}\); but nothing of it could be kept: .+ the disk is full", ended.err
    )
    nothing_is_left(workspace)


def test_what_a_run_has_done_stands_where_its_marker_can_not_be_removed(
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


def test_what_was_started_and_can_not_be_ended_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)
    monkeypatch.setattr(RemoteRun, "look", no_more)
    workspace.fail_next("GET /api/2.2/jobs/runs/list", status=403, error_code="PERMISSION_DENIED", message="no")
    ended = run()
    assert len(workspace.active_runs()) == 1
    assert "No more. What was started on Databricks may go on: `workshop databricks cancel`" in ended.err
    assert len(leftovers.folders()) == 1


def no_more(*_: object) -> None:
    raise WorkshopError("No more.")


def test_a_report_is_written_however_much_of_a_hurry_somebody_is_in(
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


def test_who_is_killed_while_tidying_up_has_written_down_what_came_of_the_run(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    monkeypatch.setattr(RemoteRun, "clean_up", die)
    with pytest.raises(KilledError):
        run()
    (summary,) = summaries(home)
    assert (summary["status"], Path(summary["report"]).is_file()) == ("failed", True)
    assert leftovers.folders() == [Path(summary["report"]).parent]
