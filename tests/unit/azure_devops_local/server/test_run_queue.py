"""The queue with real processes: order, approvals, and processes that are killed."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from azure_devops_local.run_store import Job, Run, Runs, Stage, now
from azure_devops_local.server import pull_requests, repository, run_queue
from kit_common.errors import UserError
from tests.support.commands import workshop
from tests.support.team import Clone, git
from workshop.cli import devops

pytestmark = pytest.mark.integration

UNIT = (
    "trigger:\n  branches: {exclude: [main, integration]}\nsteps:\n- script: echo $(Build.SourceBranchName) >> DIARY\n"
)
# Ends when the test makes the file GO; its process id is in the file BUSY.
SLOW = "trigger: none\nsteps:\n- script: |\n    echo $$ > BUSY\n    while [ ! -e GO ]; do sleep 0.05; done\n"
CD = """\
trigger: none
jobs:
- deployment: deliver
  environment: production
  strategy: {runOnce: {deploy: {steps: [{script: echo delivered >> DIARY}]}}}
"""


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Clone]:
    """A team's repository, and a folder in which its pipelines leave traces."""

    def placed(text: str) -> str:
        for name in ("DIARY", "BUSY", "GO"):
            text = text.replace(name, str(tmp_path / name.lower()))
        return text

    files = {"workshop_unit_test.yml": UNIT, "slow.yml": SLOW, "cd.yml": CD}
    clone = Clone(tmp_path / "clone", {f".azure_pipelines/{name}": placed(text) for name, text in files.items()})
    repository.start(clone.path)
    yield clone
    run_queue.stop()


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, [run.model_dump(include={"number", "state"}) for run in Runs().all()]
        threading.Event().wait(0.05)


def queue(team: Clone, pipeline: str, branch: str = "main") -> int:
    return run_queue.add(Run(number=0, pipeline=pipeline, branch=branch, commit=team.head(), created=now())).number


def state(number: int) -> str:
    run = Runs().load(number)
    return run.result or run.state


def agents(*arguments: str) -> list[psutil.Process]:
    """The listener, or the worker of a run."""
    return [process for process in run_queue._processes() if process.cmdline()[5:] == list(arguments)]


def kill(*processes: psutil.Process) -> None:
    assert processes
    for process in processes:
        process.kill()
    until(lambda: all(map(is_gone, processes)))


def is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended; an orphan may stay a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def begin_slow(team: Clone, tmp_path: Path) -> psutil.Process:
    """Queue a slow run and a quick one after it; return the process of the slow run's step."""
    queue(team, "slow.yml")
    queue(team, "workshop_unit_test.yml")
    run_queue.ensure_working()
    busy = tmp_path / "busy"
    until(lambda: busy.is_file() and bool(busy.read_text(encoding="utf-8").strip()))
    return psutil.Process(int(busy.read_text(encoding="utf-8")))


def output(*arguments: str) -> str:
    """What a command prints in this process."""
    done = CliRunner().invoke(devops.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def diary(tmp_path: Path) -> list[str]:
    return (tmp_path / "diary").read_text(encoding="utf-8").split()


def test_pushes_are_run_in_their_order_and_do_not_wait_for_it(team: Clone, tmp_path: Path) -> None:
    for branch in ("first", "second"):
        git(team.path, "switch", "--quiet", "--create", branch)
        team.commit({"x": branch})
        done = team.push()
        assert done.returncode == 0
        assert "workshop_unit_test.yml starts" in done.stderr

    until(lambda: [state(number) for number in (1, 2)] == ["succeeded"] * 2)

    assert diary(tmp_path) == ["first", "second"]
    until(lambda: not run_queue._processes())


@pytest.mark.parametrize("with_listener", [False, True])
def test_a_killed_worker_fails_its_run(team: Clone, tmp_path: Path, with_listener: bool) -> None:
    step = begin_slow(team, tmp_path)

    kill(*(agents() if with_listener else []), *agents("--run", "1"))
    if with_listener:
        assert (state(1), state(2)) == ("running", "queued")
        output("runs")  # any command starts a listener

    until(lambda: state(2) == "succeeded")
    run = Runs().load(1)
    assert (run.state, run.result) == ("completed", "failed")
    assert run.problem == "The agent was lost while it ran slow.yml: push again or `workshop devops rerun 1`."
    assert run.stages[0].jobs[0].result == "failed"
    assert is_gone(step)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_worker_goes_on_without_its_listener(team: Clone, tmp_path: Path, restarted: bool) -> None:
    begin_slow(team, tmp_path)
    kill(*agents())

    if restarted:
        run_queue.ensure_working()
        until(lambda: bool(agents()))
        threading.Event().wait(3 * run_queue._PAUSE)  # the listener looks at the queue a few times
    assert (state(1), state(2)) == ("running", "queued")
    (tmp_path / "go").touch()

    until(lambda: [state(number) for number in (1, 2)] == ["succeeded"] * 2)  # the worker starts the next listener


def test_a_worker_that_cant_begin_fails_its_run(team: Clone) -> None:
    number = queue(team, "gone.yml")
    after = queue(team, "workshop_unit_test.yml")
    run_queue.ensure_working()

    until(lambda: (state(number), state(after)) == ("failed", "succeeded"))

    assert "gone.yml" in Runs().load(number).problem


def test_a_run_that_waits_for_an_approval_blocks_only_its_pipeline(team: Clone, tmp_path: Path) -> None:
    first, second, other = queue(team, "cd.yml"), queue(team, "cd.yml"), queue(team, "workshop_unit_test.yml")
    run_queue.ensure_working()

    until(lambda: state(other) == "succeeded")
    assert (state(first), state(second)) == ("waiting for approval", "queued")
    assert "Bo approves run 1 of cd.yml" in output("approve", str(first), "--as", "Bo")
    until(lambda: (state(first), state(second)) == ("succeeded", "waiting for approval"))
    assert Runs().load(first).stages[0].jobs[0].approved_by == "Bo"
    run_queue.answer_approval(second, "Bo", approved=False)
    until(lambda: Runs().load(second).state == "completed")
    assert Runs().load(second).result != "succeeded"
    assert diary(tmp_path) == ["main", "delivered"]
    with pytest.raises(UserError, match="does not wait for an approval"):
        run_queue.answer_approval(first, "Bo", approved=True)


def test_an_answer_counts_once_for_one_job(team: Clone) -> None:
    run = Run(
        number=0, pipeline="cd.yml", branch="main", commit=team.head(), created=now(), state="waiting for approval"
    )
    jobs = [Job(name="one", environment="a", asked=now()), Job(name="two", environment="b")]
    number = Runs().add(run.model_copy(update={"stages": [Stage(name="s", jobs=jobs)]})).number
    with run_queue.sign_of_life(number):  # so that nobody takes it for lost
        run_queue.answer_approval(number, "Bo", approved=True)
        for approved in (True, False):
            with pytest.raises(UserError, match="Bo has answered already"):
                run_queue.answer_approval(number, "Cleo", approved=approved)
        first = run_queue.approval_file(Runs().load(number))
        assert run_queue.Approval.model_validate_json(first.read_text()) == run_queue.Approval(by="Bo", approved=True)

        waiting = Runs().load(number)
        waiting.stages[0].jobs[0].approved_by = "Bo"
        waiting.stages[0].jobs[1].asked = now()
        Runs().save(waiting)
        assert run_queue.approval_file(waiting) != first
        assert not run_queue.approval_file(waiting).exists()
    run_queue.stop()


def test_a_damaged_record_blocks_no_other(team: Clone) -> None:
    damaged = queue(team, "cd.yml")
    (Runs().folder_of(damaged) / "run.json").write_text('{"n')
    number = queue(team, "workshop_unit_test.yml")
    run_queue.ensure_working()
    until(lambda: state(number) == "succeeded")
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        Runs().load(damaged)
    listed = CliRunner().invoke(devops.app, ["runs"])
    assert (listed.exit_code, "The record of run 1 is damaged" in listed.stderr) == (0, True)
    assert "Traceback" not in team.push("HEAD:refs/heads/dev-ana").stderr


def test_a_worker_that_is_killed_while_it_waits_for_an_approval(team: Clone) -> None:
    first, second = queue(team, "cd.yml"), queue(team, "cd.yml")
    run_queue.ensure_working()
    until(lambda: state(first) == "waiting for approval")

    kill(*agents("--run", "1"))

    until(lambda: (state(first), state(second)) == ("failed", "waiting for approval"))


def test_without_approvals_a_deployment_does_not_wait(team: Clone) -> None:
    repository.start(team.path, approvals=False)
    number = queue(team, "cd.yml")
    run_queue.ensure_working()

    until(lambda: state(number) == "succeeded")

    assert Runs().load(number).stages[0].jobs[0].approved_by == "no approval is asked for"


def test_stop_cancels_what_runs_and_keeps_what_is_queued(team: Clone, tmp_path: Path) -> None:
    step = begin_slow(team, tmp_path)

    assert "is stopped" in output("stop")

    assert (state(1), state(2)) == ("canceled", "queued")
    assert is_gone(step)
    assert not run_queue._processes()
    assert "No agent" in output("stop")
    assert "as run 3" in output("rerun", "2", "--as", "Bo")
    until(lambda: (state(2), state(3)) == ("succeeded", "succeeded"))
    listed = json.loads(output("runs", "--json"))
    assert [(run["number"], run["requested_for"]) for run in listed] == [(1, ""), (2, ""), (3, "Bo")]


def test_a_pull_request_on_the_command_line(team: Clone, tmp_path: Path) -> None:
    git(team.path, "switch", "--quiet", "--create", "dev-ana")
    team.commit({"x": "1"})
    with run_queue.lock("agent"):
        team.push()
    asked = ("--source", "dev-ana", "--target", "main", "--as", "Ana", "--title", "\x1b[31mred")
    opened = output("pr", "create", *asked)
    assert "pull request 1 (dev-ana into main) is open" in opened
    assert "\x1b" not in opened
    refused = workshop("devops", "pr", "complete", "1", "--as", "Ana", "--wait")
    assert (refused.code, "another person than the author" in refused.err) == (1, True), refused.err

    assert "is completed" in output("pr", "complete", "1", "--as", "Bo", "--wait")

    assert pull_requests.load(1).status == "completed"
    assert json.loads(output("pr", "list", "--json"))[0]["completed_by"] == "Bo"
    assert "Completed by Bo" in output("pr", "show", "1")
    assert "dev-ana" in output("pr", "list")


def test_background_processes_import_no_large_library(home: Path) -> None:
    code = (
        "import sys; from workshop.cli import app, devops; "
        "from azure_devops_local.server import pull_requests, repository, worker; "
        "print([name for name in ('mlflow', 'pandas', 'sklearn', 'matplotlib', 'papermill') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
