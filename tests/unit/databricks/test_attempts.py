"""Several attempts at one run, with the same token: none touches what is another's."""

from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import (
    FIRST,
    KilledError,
    die,
    killed_before_its_run_fails,
    killed_while_it_follows,
    left_in,
    nothing_is_left,
    run,
)
from tests.unit.databricks.test_abandoned import cancelled
from tests.unit.databricks.test_one_run import interrupt, no_more
from workshop.databricks import abandoned, following, submission, target, trail

pytestmark = pytest.mark.integration
NO: dict[str, Any] = {"status": 403, "error_code": "PERMISSION_DENIED", "message": "no"}


@pytest.fixture(autouse=True)
def one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that run here run the same thing."""
    monkeypatch.setenv("WORKSHOP_DATABRICKS_IDEMPOTENCY_TOKEN", "build 17")


@pytest.fixture
def own_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run has a job with a cluster of its own."""
    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUTE", "job_cluster")


def killed_in(name: str, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """A client that is killed as it is about to call that function of `submission`, or when it has."""
    really = getattr(submission, name)

    def dies(*arguments: Any) -> None:
        if after:
            really(*arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(submission, name, dies)
        patch.setattr(target, "end_what_runs", die)
        with pytest.raises(KilledError):
            run()


def job_ids() -> list[int | None]:
    """Of the jobs that there are."""
    return [job.job_id for job in WorkspaceClient().jobs.list()]


@pytest.mark.parametrize("compute", ["serverless", "job_cluster"])
def test_a_retry_that_is_refused_leaves_the_run_that_it_follows(
    workspace: Workspace, compute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUTE", compute)
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    (made,) = workspace.active_runs()
    there = (left_in(workspace), job_ids())
    monkeypatch.setattr(following, "look_at", no_more)
    ended = run()
    assert f"No more. Whether the run goes on is on its page, {made.page}; `workshop run --follow" in ended.err
    assert workspace.active_runs() == [made]
    assert (left_in(workspace), job_ids()) == there


def test_who_can_look_no_more_at_its_own_run_ends_it_and_says_nothing_else(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    really = submission.look_at

    def no_more_while_it_runs(client: WorkspaceClient, run_id: int) -> jobs.Run | None:
        if workspace.active_runs():
            no_more()
        return really(client, run_id)

    monkeypatch.setattr(following, "look_at", no_more_while_it_runs)
    ended = run()
    assert "Cancelled on Databricks: http" in ended.out
    assert ended.err == "✗ No more.\n"
    nothing_is_left(workspace)


def test_a_third_attempt_that_is_stopped_leaves_the_second_ones_job_and_not_its_own(
    workspace: Workspace, own_jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    run()
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    (second,) = workspace.active_runs()
    there = job_ids()
    with monkeypatch.context() as patch:
        patch.setattr(target, "bring_back", interrupt)
        assert "a run that was started earlier with the same token goes on" in run().out
    assert workspace.active_runs() == [second]
    assert job_ids() == there
    assert cancelled()[0] == 1
    assert job_ids() == []
    nothing_is_left(workspace)


def test_who_is_ended_takes_no_job_of_another_that_is_about_to_run_it(
    workspace: Workspace, own_jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    killed_in("submit", monkeypatch, after=False)
    monkeypatch.setattr(abandoned, "_SECONDS_TO_LOOK", 0)
    really = submission._job_for

    def meanwhile_the_first_is_ended(*arguments: Any) -> int:
        job_id = really(*arguments)
        assert cancelled()[0] == 1
        return job_id

    monkeypatch.setattr(submission, "_job_for", meanwhile_the_first_is_ended)
    ended = run()
    assert f"{FIRST}, on Databricks" in ended.out, ended.err
    nothing_is_left(workspace)
    assert (job_ids(), trail.folders()) == ([], [])


def test_a_job_that_its_maker_has_not_run_is_left_to_him(
    workspace: Workspace, own_jobs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    killed_in("_job_for", monkeypatch, after=True)
    assert len(job_ids()) == 1
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("WORKSHOP_HOME", str(tmp_path / "elsewhere"))
        killed_while_it_follows(elsewhere)
    (second,) = workspace.active_runs()
    assert cancelled()[0] == 1
    assert (workspace.active_runs(), job_ids()) == ([second], [second.job_id])
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path / "elsewhere"))
    assert cancelled()[0] == 1
    assert job_ids() == []
    nothing_is_left(workspace)


def test_a_job_that_is_left_of_an_attempt_is_not_run_by_the_next(
    workspace: Workspace, own_jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    workspace.fail_next("POST /api/2.2/jobs/run-now", **NO)
    workspace.fail_next("POST /api/2.2/jobs/delete", **NO)
    assert "A job is left in the workspace: " in run().out
    assert left_in(workspace) == []
    (left,) = job_ids()
    again = run()
    assert "started before" not in again.out
    (made,) = workspace.runs.values()
    assert made.job_id != left
    nothing_is_left(workspace)
    assert cancelled()[0] == 1
    assert job_ids() == []


def test_who_is_interrupted_while_jobs_are_removed_leaves_those_that_are_looked_for_first(
    workspace: Workspace, own_jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    killed_while_it_follows(monkeypatch)
    killed_while_it_follows(monkeypatch)
    removed: list[int | None] = []
    with monkeypatch.context() as patch:
        patch.setattr(submission, "forget_job", lambda client, job_id: removed.append(job_id))
        run()
    assert len(set(removed)) == 3
    assert removed[:3] == sorted(set(removed), key=str, reverse=True)


def test_a_failed_attempt_whose_job_can_not_be_removed_keeps_nobody_from_the_next(
    workspace: Workspace, own_jobs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_its_run_fails(workspace, monkeypatch)
    workspace.fail_next("POST /api/2.2/jobs/delete", **NO)
    ended = run()
    assert ended.err == ""
    assert "A job is left in the workspace: " in ended.out
    assert len(workspace.runs) == 2


def test_a_retry_removes_the_code_of_the_attempt_that_failed_after_its_client_was_killed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_its_run_fails(workspace, monkeypatch)
    assert len(left_in(workspace)) == 1
    assert run().code == 1
    assert len(workspace.runs) == 2
    nothing_is_left(workspace)
