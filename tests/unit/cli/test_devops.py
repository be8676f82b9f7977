"""`workshop devops`: what its commands print."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azure_devops_local.run_store import Run, Runs
from azure_devops_local.server import pull_requests, repository
from azure_devops_local.server.pull_request_record import PullRequest
from tests.support import sample_runs
from tests.support.team import Clone
from workshop.cli import devops


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no agent."""
    monkeypatch.setattr("azure_devops_local.server.run_queue.ensure_working", lambda: None)


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(devops.app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_runs_fit_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devops.out, "_width", 80)
    sample_runs.succeeded()
    run = Run(pipeline="workshop_unit_test.yml", branch="dev-ana", commit="c" * 40, reason="individualCI")
    Runs().add(run.model_copy(update={"message": "Drop duplicate wines before the split", "requested_for": "Ana"}))
    text = printed("runs")
    for whole in ("workshop_unit_test.yml on dev-ana, a push, Ana", "Drop duplicate wines before the split", "queued"):
        assert whole in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("title", "end"), [("", " is open."), ("Tidy up", " is open: Tidy up")])
def test_a_new_pull_request_names_its_branches_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str, end: str
) -> None:
    clone = Clone(tmp_path / "clone")
    repository.start(clone.path, approvals=False, direct_push=False)
    clone.commit({"code/x": "1"}, branch="dev-ana")
    assert clone.push().returncode == 0
    monkeypatch.chdir(clone.path)
    text = printed("pr", "create", "--source", "dev-ana", "--target", "integration", "--title", title)
    assert text.splitlines()[0] == f"The pull request 1 (dev-ana into integration){end}"


def test_a_completion_prints_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = sample_runs.running()

    def wait(number: int, show: Callable[[Run], None]) -> None:
        for state in ("queued", "running", "running", "completed"):
            show(run.model_copy(update={"state": state, "result": "succeeded" if state == "completed" else None}))

    def complete(number: int, name: str, one_person: bool) -> tuple[PullRequest, list[str]]:
        known = {"id": number, "source": "a", "target": "main", "title": "t", "author": "Ana", "created": run.created}
        return PullRequest.model_validate(known | {"merge_commit": "c" * 40}), []

    monkeypatch.setattr(pull_requests, "wait_for_validation", wait)
    monkeypatch.setattr(pull_requests, "complete", complete)
    lines = printed("pr", "complete", "7", "--as", "Bo", "--wait").splitlines()
    assert lines[0] == f"Waiting for the test of the merge: {run.title}: queued"
    assert lines[1].startswith(f"{run.title}: running, ")
    assert lines[2].startswith(f"{run.title}: succeeded")
    assert lines[-1] == "The pull request 7 (a into main) is completed: main is now at cccccccc."
    assert len(lines) == 4
