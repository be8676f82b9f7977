"""Remote runs that are stopped: at any moment, without an answer, and during the clean-up."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from databricks_local.workspace import Workspace
from tests.support.commands import workshop_here
from tests.support.databricks_runs import (
    FIRST,
    interrupt,
    no_more,
    nothing_is_left,
    run,
    submissions,
    summaries,
    when,
)
from tests.unit.databricks.test_target import every_task_succeeds
from workshop.databricks import job, leftovers, target
from workshop.databricks.remote_run import RemoteRun
from workshop.databricks.tasks import Tasks
from workshop.runner import interruption
from workshop.runner import run as headless_run

pytestmark = pytest.mark.integration


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


def test_a_run_that_cannot_be_cancelled_is_reported(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.hold(FIRST)
    monkeypatch.setattr(RemoteRun, "look", no_more)
    workspace.fail_next("GET /api/2.2/jobs/runs/list", status=403, error_code="PERMISSION_DENIED", message="no")
    ended = run()
    assert len(workspace.active_runs()) == 1
    assert "No more. What was started on Databricks may go on: `workshop databricks cancel`" in ended.err
    assert len(leftovers.folders()) == 1


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
