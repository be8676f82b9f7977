"""Compute of the kind `job_cluster`: a run starts the job that the bundle has deployed, and creates none."""

from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import FIRST, killed_while_it_follows, nothing_is_left, run, submissions, summaries
from tests.unit.databricks import test_bundle
from tests.unit.databricks.test_leftovers import cancelled
from tests.unit.databricks.test_target import every_task_succeeds
from workshop.databricks import bundle, leftovers
from workshop.databricks.settings import databricks_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def job_id(workspace: Workspace, commit: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The id of a deployed job, which the settings name."""
    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUTE", "job_cluster")
    monkeypatch.setattr(test_bundle, "COMMIT", commit)
    made = test_bundle.deployed(bundle.document(databricks_settings(), "wine_quality"), "prod", "{{job.run_id}}")
    created: Any = WorkspaceClient().api_client.do("POST", "/api/2.2/jobs/create", body=made)
    monkeypatch.setenv("WORKSHOP_DATABRICKS_JOB_ID", str(created["job_id"]))
    return int(created["job_id"])


def test_a_run_starts_the_deployed_job_with_its_own_parameters(
    workspace: Workspace, job_id: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_task_succeeds(workspace, "promoted", monkeypatch)
    ended = run("--action", "deployment")
    assert ended.code == 0, ended.out + ended.err
    (made,) = workspace.runs.values()
    (summary,) = summaries(home)
    assert (made.job_id, submissions(workspace)) == (job_id, 0)
    given = made.tasks[FIRST].overrides
    assert (given["WORKSHOP_RUN_ID"], given["devops_action"]) == (summary["run_id"], "Deployment")
    assert summary["run_page"] == made.page
    assert [job.job_id for job in WorkspaceClient().jobs.list()] == [job_id]
    nothing_is_left(workspace)
    assert run("--follow", str(made.run_id)).code == 0
    assert leftovers.folders() == []


def test_a_killed_clients_run_of_the_deployed_job_is_found_and_cancelled(
    workspace: Workspace, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    other = WorkspaceClient().jobs.run_now(job_id).run_id
    killed_while_it_follows(monkeypatch)
    assert len(workspace.active_runs()) == 2
    assert cancelled()[0] == 1
    assert [each.run_id for each in workspace.active_runs()] == [other]
    assert [job.job_id for job in WorkspaceClient().jobs.list()] == [job_id]


def test_a_job_that_does_not_fit_the_run_is_refused(
    workspace: Workspace, job_id: int, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"The job {job_id} runs part_1_1_data_prep" in run("--notebooks", "1_1").err
    monkeypatch.setenv("WORKSHOP_GIT_COMMIT", "c0ffee" * 6 + "c0ff")
    refused = run().err
    assert f"has the code of the commit {commit[:12]}, and this run is of c0ffeec0ffee: deploy the bundle" in refused
    monkeypatch.setenv("WORKSHOP_DATABRICKS_JOB_ID", "17")
    assert "could not read the job 17" in run().err
    monkeypatch.setenv("WORKSHOP_DATABRICKS_JOB_ID", "")
    assert "set WORKSHOP_DATABRICKS_JOB_ID to the job's id" in run().err
    assert workspace.runs == {}
    assert leftovers.folders() == []
