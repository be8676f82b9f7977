"""Several calls with the same token, and the attempts of a pipeline's job."""

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import FIRST, killed_while_it_follows, left_in, nothing_is_left, run
from tests.unit.databricks.test_remote_run import no_more
from workshop.databricks.remote_run import RemoteRun

pytestmark = pytest.mark.integration


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

    def no_more_while_it_runs(remote: RemoteRun) -> jobs.Run | None:
        if workspace.active_runs():
            no_more()
        return real(remote)

    monkeypatch.setattr(RemoteRun, "look", no_more_while_it_runs)
    monkeypatch.setattr(RemoteRun, "cancel", cancelled_at_once)
    ended = run()
    assert "Cancelled on Databricks: http" in ended.out
    assert ended.err == "✗ No more.\n"
    nothing_is_left(workspace)


def cancelled_at_once(remote: RemoteRun) -> jobs.Run:
    """Cancel a run without looking at it before it has ended."""
    assert remote.run_id is not None
    remote.state = "ended"
    return WorkspaceClient().jobs.cancel_run_and_wait(remote.run_id)


def test_a_failed_run_is_reported_again_and_another_attempt_of_the_job_starts_anew(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_BUILDID", "17")
    monkeypatch.setenv("SYSTEM_JOBATTEMPT", "1")
    workspace.outcomes[FIRST] = "FAILED"
    assert "started before" not in run().out
    again = run()
    assert again.code == 1
    assert "This run has been started before: it is followed, and no second one is started." in again.out
    assert len(workspace.runs) == 1
    monkeypatch.setenv("SYSTEM_JOBATTEMPT", "2")
    assert "started before" not in run().out
    assert len(workspace.runs) == 2
    nothing_is_left(workspace)
