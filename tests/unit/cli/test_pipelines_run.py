"""`workshop pipelines run`: output, exit codes, approvals and signals."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from azure_devops_local import run_store
from azure_devops_local.server import run_queue
from azure_devops_local.views import terminal
from kit_common.errors import UsageError, UserError
from tests.support import laptop
from tests.support.commands import Finished

pytestmark = pytest.mark.integration

PIPELINE = """
parameters:
- {name: word, type: string, default: hello}
- {name: code, type: number, default: 0}
jobs:
- job: A
  displayName: Talk
  steps:
  - {bash: 'for i in {1..20}; do echo "line $i"; done; exit ${{ parameters.code }}',
     displayName: 'Say ${{ parameters.word }}'}
  - {bash: 'echo "##vso[task.complete result=SucceededWithIssues]"', displayName: Doubt}
"""
DEPLOYMENT = """
jobs:
- deployment: D
  environment: production
  strategy: {runOnce: {deploy: {steps: [{bash: 'true', displayName: Go}]}}}
"""


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "workshop", "pipelines", "run", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def run(folder: Path, *arguments: str) -> Finished:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=60)
    return Finished(process.returncode, out, err)


def here(folder: Path, branch: str = "", approves: bool = False) -> tuple[run_store.Run, str]:
    """Run the pipeline in this process; return the run and its output."""
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    done = terminal.execute(terminal.plan("try.yml", branch, {}, folder), folder, console, approves)
    return done, shown.getvalue()


def test_a_run_shows_its_steps_and_leaves_a_page(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", PIPELINE)
    laptop.git(folder, "config", "user.name", "Ana")
    (folder / "new").write_text("x", encoding="utf-8")
    inside = folder / ".azure_pipelines"
    done = run(inside, "try.yml", "--param", "word=hi there")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("Run 1 of try.yml on main, ")
    assert [line.rpartition(" ")[0].rpartition(" ")[0] for line in lines[1:4]] == [
        "✓ Checkout",
        "✓ Say hi there",
        "! Doubt",
    ]
    assert "Note: 1 changed file is not part of this run: commit to include all changes." in lines
    assert "run 1 of try.yml: succeeded with issues" in lines
    stored = run_store.Runs().load(1)
    assert (stored.requested_for, stored.reason, stored.branch) == ("Ana", "manual", "main")
    page = next(line.removeprefix("Page: ") for line in lines if line.startswith("Page: "))
    assert "Say hi there" in Path(page).read_text(encoding="utf-8")


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    done = run(laptop.repository(tmp_path / "repository", PIPELINE), "./.azure_pipelines/try.yml", "--param", "code=3")
    assert done.code == 1
    assert "line 20\n" in done.out
    assert "line 6\n" not in done.out
    assert "run 1 of try.yml: failed" in done.out


@pytest.mark.parametrize(
    ("pipeline", "branch", "parameters", "problem"),
    [
        ("no.yml", "", {}, "has no pipeline no.yml in .azure_pipelines: choose one of try.yml"),
        ("no.yml", "", {}, ".azure_pipelines: choose one of try.yml."),
        ("variables.yml", "", {}, "has no pipeline variables.yml"),
        ("elsewhere/try.yml", "", {}, "has no pipeline elsewhere/try.yml"),
        ("try.yml", "no", {}, "There is no branch no"),
        ("try.yml", "-x", {}, "not a valid branch name"),
        ("try.yml", "x; touch pwned", {}, "not a valid branch name"),
        ("try.yml", "", {"no": "1"}, "has no parameter no: it has word, code"),
        ("try.yml", "", {"code": "x"}, "must be a number"),
        ("try.yml", "a\udcff", {}, "not UTF-8"),
    ],
)
def test_an_unknown_pipeline_branch_or_parameter_is_refused(
    tmp_path: Path, pipeline: str, branch: str, parameters: dict[str, str], problem: str
) -> None:
    folder = laptop.repository(tmp_path / "repository", PIPELINE, **{".azure_pipelines/variables.yml": "variables: {}"})
    with pytest.raises(UserError, match=re.escape(problem)) as refused:
        terminal.plan(pipeline, branch, parameters, folder)
    assert isinstance(refused.value, UsageError)


def test_a_detached_checkout_needs_a_branch_name(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", PIPELINE)
    laptop.git(folder, "checkout", "--quiet", "--detach")
    with pytest.raises(UserError, match="No branch is checked out here"):
        terminal.plan("try.yml", "", {}, folder)
    assert terminal.plan("try.yml", "main", {}, folder).branch == "main"


@pytest.mark.parametrize("arguments", [["no.yml"], ["try.yml", "--param", "word"]])
def test_a_wrong_command_line_runs_nothing(tmp_path: Path, arguments: list[str]) -> None:
    done = run(laptop.repository(tmp_path / "repository", PIPELINE), *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert run_store.Runs().numbers() == []


@pytest.mark.parametrize(("answer", "approved"), [("y", True), ("no", False), ("", False)])
def test_a_deployment_is_approved_at_the_terminal(
    tmp_path: Path, answer: str, approved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n" if answer else ""))
    console = Console(file=io.StringIO(), force_terminal=True)
    folder = laptop.repository(tmp_path / "repository", DEPLOYMENT)
    done = terminal.execute(terminal.plan("try.yml", "", {}, folder), folder, console, approves=False)
    assert (done.result == "succeeded") is approved
    assert (done.stages[0].jobs[0].approved_by == done.requested_for) is approved


def test_a_run_waits_for_its_turn(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", PIPELINE)
    shown = io.StringIO()
    with run_queue.lock("busy"):
        thread = threading.Thread(
            target=lambda: terminal.execute(
                terminal.plan("try.yml", "", {}, folder), folder, Console(file=shown), False
            )
        )
        thread.start()
        while "waits for the end" not in shown.getvalue():
            assert thread.is_alive()
            threading.Event().wait(0.02)
        assert laptop.steps_of(run_store.Runs().load(1)) == {}
    thread.join(30)
    assert run_store.Runs().load(1).result == "succeeded with issues"


def test_a_branch_name_is_not_executed(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", "steps: [{bash: 'git rev-parse HEAD', displayName: look}]")
    laptop.git(folder, "branch", "x$(touch${IFS}pwned)")
    laptop.commit(folder, "steps: [{bash: exit 1}]")
    done, _ = here(folder, "x$(touch${IFS}pwned)")
    assert done.result == "succeeded"
    assert run_store.Runs().load(1).branch == "x$(touch${IFS}pwned)"
    assert not list(tmp_path.rglob("pwned"))


def test_a_mistake_in_the_file_is_a_run_that_failed(tmp_path: Path) -> None:
    done, shown = here(laptop.repository(tmp_path / "repository", "steps: [{bsh: x}]"))
    assert done.result == "failed"
    assert ".azure_pipelines/try.yml, line 1" in shown


@pytest.mark.parametrize(
    ("approves", "result", "sentence"), [(False, "failed", "add --approve"), (True, "succeeded", "Yes,")]
)
def test_without_a_terminal_an_option_approves(tmp_path: Path, approves: bool, result: str, sentence: str) -> None:
    done, shown = here(laptop.repository(tmp_path / "repository", DEPLOYMENT), approves=approves)
    assert done.result == result
    assert sentence in shown


def test_sigterm_ends_the_run_as_canceled(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", "steps: [{checkout: none}, {bash: 'echo $$; sleep 60'}]")
    process = start(folder, "try.yml")
    logs = run_store.Runs().folder_of(1) / "logs"
    while not any(log.read_text(encoding="utf-8") for log in logs.glob("*.log")):
        assert process.poll() is None
        threading.Event().wait(0.02)
    assert run_queue._is_alive(1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "run 1 of try.yml: canceled" in out
    assert run_store.Runs().load(1).result == "canceled"
    pid = int(next(logs.glob("*.log")).read_text(encoding="utf-8").split()[0])
    laptop.wait_until_gone(pid)
