"""Runs on a terminal: a line for each change, and the exit code."""

import io
import threading
from collections.abc import Callable

import pytest
from rich.console import Console
from typer.testing import CliRunner

from azure_devops_local.run_store import Run, Runs
from azure_devops_local.views import watch
from tests.support import sample_runs
from workshop.cli import devops


class Between(threading.Event):
    """Makes one change in each pause of the command, and stops it after the last one."""

    def __init__(self, *changes: Callable[[], object]) -> None:
        super().__init__()
        self._changes = list(changes)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._changes:
            return True
        self._changes.pop(0)()
        return False


@pytest.fixture(autouse=True)
def started_agents(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start no agent; return the calls that would start one."""
    calls: list[str] = []
    monkeypatch.setattr("azure_devops_local.server.run_queue.ensure_working", lambda: calls.append("started"))
    return calls


def watched(*changes: Callable[[], object], until_idle: bool = False, terminal: bool = False) -> tuple[int, str]:
    text = io.StringIO()
    console = Console(file=text, width=140, height=60, force_terminal=terminal, color_system=None)
    code = watch.follow(console, until_idle, Between(*changes))
    return code, text.getvalue()


def begin(run: Run) -> None:
    run.state, run.started = "running", sample_runs.at(1)
    Runs().save(run)


def end(run: Run, result: str = "succeeded") -> None:
    """End the run of `sample_runs.running` and both of its steps."""
    for step in run.stages[0].jobs[0].steps:
        step.result, step.started, step.finished = "succeeded", sample_runs.at(1), sample_runs.at(3)
    Runs().save(
        run.model_copy(
            update={"state": "completed", "result": result, "finished": sample_runs.at(5), "stages": run.stages}
        )
    )


def queued() -> Run:
    run = sample_runs.running()
    run.state = "queued"
    run.started = run.stages[0].jobs[0].started = run.stages[0].jobs[0].steps[0].started = None
    Runs().save(run)
    return run


def test_a_log_gets_a_line_for_each_change_and_no_line_twice(started_agents: list[str]) -> None:
    sample_runs.failed()
    run = queued()
    nothing = list
    code, text = watched(nothing, lambda: begin(run), nothing, lambda: end(run), nothing, until_idle=True)
    assert text.splitlines() == [
        "run 2 of workshop_unit_test.yml (dev-ana, cccccccc): queued",
        "run 2 of workshop_unit_test.yml (dev-ana, cccccccc): running",
        "  run 2, Only / Say it: succeeded, 2.0 s",
        "  run 2, Only / Then: succeeded, 2.0 s",
        "run 2 of workshop_unit_test.yml (dev-ana, cccccccc): succeeded, 4.0 s",
    ]
    assert code == 0
    assert started_agents == ["started"]


def test_the_command_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def follow(console: Console, until_idle: bool) -> int:
        calls.append(until_idle)
        return 1

    monkeypatch.setattr(watch, "follow", follow)
    assert CliRunner().invoke(devops.app, ["watch", "--until-idle"]).exit_code == 1
    assert calls == [True]


@pytest.mark.parametrize(
    ("result", "code"), [("succeeded", 0), ("succeeded with issues", 0), ("failed", 1), ("canceled", 1)]
)
@pytest.mark.parametrize("terminal", [False, True])
def test_the_exit_code_of_until_idle(result: str, code: int, terminal: bool) -> None:
    run = sample_runs.running()
    assert watched(lambda: end(run, result), until_idle=True, terminal=terminal)[0] == code


def test_a_run_that_appears_and_fails_between_two_looks_counts() -> None:
    first = sample_runs.running()
    code, text = watched(sample_runs.failed, lambda: end(first), until_idle=True)
    assert code == 1
    assert "run 2 of ci.yml" in text


def test_what_had_ended_before_does_not_count() -> None:
    sample_runs.failed()
    code, text = watched(until_idle=True)
    assert code == 0
    nothing, last, *_ = text.splitlines()
    assert nothing == "Nothing is running."
    assert last.startswith("run 1 of ci.yml (") and last.endswith(", bbbbbbbb): failed, 11.0 s")
    assert watched(until_idle=True, terminal=True)[0] == 0


def test_a_run_that_waits_for_an_approval_names_the_command_and_ends_it() -> None:
    sample_runs.waiting()
    behind = queued()
    behind.pipeline = "cd.yml"
    Runs().save(behind)
    for terminal in (False, True):
        code, text = watched(until_idle=True, terminal=terminal)
        assert code == 0
        assert "workshop devops approve 1" in text


def test_a_queued_run_of_another_pipeline_keeps_it() -> None:
    sample_runs.waiting()
    behind = queued()
    code, text = watched(lambda: end(behind, "failed"), until_idle=True)
    assert code == 1
    assert text.splitlines()[-1].startswith("run 2 of workshop_unit_test.yml (dev-ana, cccccccc): failed")


def test_without_until_idle_it_goes_on_until_it_is_stopped() -> None:
    run = sample_runs.running()
    code, text = watched(lambda: end(run, "failed"), list, list)
    assert code == 0
    assert "failed" in text.splitlines()[-1]


def test_ctrl_c_is_exit_code_0() -> None:
    sample_runs.running()

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert watched(interrupted, until_idle=True)[0] == 0
    assert watched(interrupted, until_idle=True, terminal=True)[0] == 0


def test_pull_requests_are_shown_when_they_open_and_when_they_are_completed() -> None:
    _, text = watched(sample_runs.pull_requests)
    assert text.splitlines() == [
        "pull request 1 (dev-ana into integration): completed",
        "pull request 2 (integration into main): active",
    ]
    _, text = watched()
    assert text.splitlines() == ["pull request 2 (integration into main): active"]
    _, text = watched(terminal=True)
    assert "pull request 2 (integration into main)" in text
    assert "pull request 1" not in text


def test_a_terminal_shows_the_steps_of_what_is_running_and_the_newest_that_ended() -> None:
    for _ in range(2):
        sample_runs.succeeded()
    sample_runs.failed()
    sample_runs.succeeded()
    sample_runs.running()
    _, text = watched(terminal=True)
    for fact in ("▸ run 5 of workshop_unit_test.yml", "▸ Say it  running", "· Then  not started"):
        assert fact in text
    assert "✗ run 3 of ci.yml" in text
    assert "Bash" not in text
    assert "run 2 of" in text
    assert "run 1 of" not in text


def test_foreign_text_does_not_control_the_terminal() -> None:
    run = sample_runs.running()
    run.branch, run.stages[0].jobs[0].steps[0].name = "dev\x1b]0;pwned\x07\x1b[2J", "[bold]Say[/] \x9b31m it"
    Runs().save(run)
    _, live = watched(terminal=True)
    assert "\x1b]0;" not in live
    assert "\x1b[2J" not in live
    assert "\x9b" not in live
    assert "[bold]Say[/]" in live
    _, plain = watched(lambda: end(run))
    assert "\x1b" not in plain
    assert "[bold]Say[/]" in plain


def test_a_run_that_is_removed_meanwhile_is_ignored() -> None:
    run = sample_runs.running()
    assert watched((Runs().folder_of(run.number) / "run.json").unlink, until_idle=True)[0] == 0


def test_the_headline_of_a_summary_ends_the_lines_of_its_run() -> None:
    run = sample_runs.running()
    folder = Runs().folder_of(run.number)
    (folder / "summaries").mkdir()
    (folder / "summaries" / "1-summary.md").write_text(
        "## Version 9 is promoted to Production; version 3 is archived\\.\n\n# Later\n", encoding="utf-8"
    )
    run.summaries = ["summaries/1-summary.md", "summaries/2-missing.md"]
    _, text = watched(lambda: end(run), until_idle=True)
    assert text.splitlines()[-1] == "  run 1: Version 9 is promoted to Production; version 3 is archived."
    _, shown = watched(lambda: None, until_idle=True, terminal=True)
    assert "Version 9 is promoted to Production" in shown
    assert "Nothing is running." in shown
    assert "Ctrl-C" not in shown


def test_the_progress_of_a_run_names_the_step_at_work() -> None:
    printed: list[str] = []
    report = watch.reporter(printed.append)
    run = sample_runs.running()
    report(run.model_copy(update={"state": "queued"}))
    report(run)
    report(run)
    assert printed == [
        "Waiting for the test of the merge: run 1 of workshop_unit_test.yml: queued",
        "run 1 of workshop_unit_test.yml: running, Say it",
    ]
