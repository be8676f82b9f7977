"""Runs of the workspace: states, outputs, time-outs, clusters and jobs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
    ResourceDoesNotExist,
)
from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState, TerminationCodeCode

from databricks_local.workspace import Workspace
from tests.support.workspace_client import (
    CANCELED,
    FAILS,
    FOLDER,
    GIT,
    UPSTREAM_FAILED,
    WHEEL,
    client_of,
    end_of,
    post,
    submit,
    task,
    upload_notebook,
)

_CLUSTER = {"spark_version": "16.4.x-scala2.13", "node_type_id": "Standard_D4ds_v5", "num_workers": 1}


_EXCLUDED = (RunLifeCycleState.SKIPPED, RunResultState.EXCLUDED)


_BROKEN = (RunLifeCycleState.INTERNAL_ERROR, RunResultState.FAILED)


@pytest.mark.parametrize(
    ("outcome", "run", "one", "two"),
    [
        ("FAILED", FAILS, FAILS, UPSTREAM_FAILED),
        (
            *("TIMEDOUT", FAILS),
            *((RunLifeCycleState.TERMINATED, RunResultState.TIMEDOUT), UPSTREAM_FAILED),
        ),
        ("SKIPPED", (RunLifeCycleState.TERMINATED, RunResultState.SUCCESS), _EXCLUDED, _EXCLUDED),
        ("CANCELED", CANCELED, CANCELED, (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_CANCELED)),
        ("INTERNAL_ERROR", _BROKEN, _BROKEN, UPSTREAM_FAILED),
    ],
)
def test_a_task_ends_with_the_outcome_that_was_set(
    workspace: Workspace, outcome: str, run: Any, one: Any, two: Any
) -> None:
    workspace.outcomes["one"] = outcome
    run_id = submit(workspace, task("one"), task("two", "one"))
    assert end_of(workspace, run_id) == {"": run, "one": one, "two": two}


def test_a_token_starts_one_run(workspace: Workspace) -> None:
    workspace.hold("one")
    first = submit(workspace, task("one"), idempotency_token="once")
    assert submit(workspace, task("two"), idempotency_token="once") == first
    assert client_of(workspace).jobs.get_run(first).state.life_cycle_state is RunLifeCycleState.PENDING  # type: ignore[union-attr]
    assert [run.run_id for run in workspace.active_runs()] == [first]

    client_of(workspace).jobs.cancel_run(first)
    assert end_of(workspace, first) == {"": CANCELED, "one": CANCELED}
    assert not workspace.active_runs()


def test_a_run_times_out(workspace: Workspace) -> None:
    workspace.hold("one")
    run_id = submit(workspace, task("one"), task("two", "one"), timeout_seconds=1)
    timed_out = (RunLifeCycleState.TERMINATED, RunResultState.TIMEDOUT)
    canceled = (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_CANCELED)
    assert end_of(workspace, run_id) == {"": timed_out, "one": timed_out, "two": canceled}


def test_a_run_with_a_missing_requirement(workspace: Workspace, tmp_path: Path) -> None:
    upload_notebook(workspace, "one", "1")
    spec = {"environment_version": "3", "dependencies": [WHEEL]}
    git = {**task("one"), "notebook_task": {"notebook_path": "notebooks/one"}}
    no_notebook = submit(workspace, task("ghost"))
    no_wheel = submit(
        workspace, task("one", environment_key="e"), environments=[{"environment_key": "e", "spec": spec}]
    )
    no_repository = submit(workspace, git, git_source=GIT)

    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    workspace.repositories[GIT["git_url"]] = repository
    no_commit = submit(workspace, git, git_source=GIT)
    workspace.wait_for(no_commit)
    workspace.git_credentials.clear()
    no_credential = submit(workspace, git, git_source=GIT)
    for run_id, code, message in (
        (no_notebook, TerminationCodeCode.RESOURCE_NOT_FOUND, f'Unable to access the notebook "{FOLDER}/ghost"'),
        (no_wheel, TerminationCodeCode.LIBRARY_INSTALLATION_ERROR, f"{WHEEL} does not exist"),
        (no_repository, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, "cannot read https://dev.azure.com/"),
        (no_credential, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, "cannot read https://dev.azure.com/"),
        (no_commit, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, f"commit {GIT['git_commit']} is not in"),
    ):
        assert end_of(workspace, run_id)[""] == _BROKEN
        details = client_of(workspace).jobs.get_run(run_id).status.termination_details  # type: ignore[union-attr]
        assert details is not None
        assert details.code is code
        assert message in str(details.message)


def test_the_output_of_a_task(workspace: Workspace) -> None:
    workspace.outcomes.update(one="SUCCESS", two="FAILED")
    workspace.results["one"] = "é" * (5 * 1024 * 1024)
    workspace.errors["two"] = "WorkshopError: no"
    run = workspace.wait_for(submit(workspace, task("one"), task("two")))
    one, two = (client_of(workspace).jobs.get_run_output(task.run_id) for task in run.tasks.values())
    assert one.notebook_output is not None
    assert (len(one.notebook_output.result or ""), one.notebook_output.truncated) == (5 * 1024 * 1024 // 2, True)
    assert (two.error, two.notebook_output and two.notebook_output.result) == ("WorkshopError: no", None)


@pytest.mark.parametrize(
    ("compute", "starts"),
    [
        ({}, 1),
        ({"existing_cluster_id": "ours"}, 1),
        ({"new_cluster": _CLUSTER}, 2),
    ],
)
def test_the_starts_of_clusters_are_counted(workspace: Workspace, compute: dict[str, Any], starts: int) -> None:
    workspace.wait_for(submit(workspace, task("one", **compute), task("two", run_if="ALL_DONE", **compute)))
    assert workspace.cluster_starts == starts


def test_a_job_with_one_cluster_for_its_tasks(workspace: Workspace) -> None:
    tasks = [task("one", job_cluster_key="shared"), task("two", job_cluster_key="shared")]
    job = {
        "name": "workshop",
        "tasks": tasks,
        "job_clusters": [{"job_cluster_key": "shared", "new_cluster": _CLUSTER}],
        "parameters": [{"name": "seed", "default": "42"}],
    }
    assert (
        "job cluster shared is not defined" in post(workspace, "/api/2.2/jobs/create", {**job, "job_clusters": []}).text
    )
    job_id = post(workspace, "/api/2.2/jobs/create", job).json()["job_id"]
    workspace.hold("one")
    jobs = client_of(workspace).jobs
    with pytest.raises(InvalidParameterValue, match="Job parameters colour are not defined"):
        jobs.run_now(job_id, job_parameters={"colour": "red"})
    with pytest.raises(InvalidParameterValue, match="cannot exceed 10000 bytes"):
        jobs.run_now(job_id, job_parameters={"seed": "1" * 10_000})
    run_id = jobs.run_now(job_id, job_parameters={"seed": "43"}, idempotency_token="once").run_id
    again = post(workspace, "/api/2.2/jobs/run-now", {"job_id": job_id, "idempotency_token": "once"})
    assert again.json()["run_id"] == run_id
    second = jobs.run_now(job_id).run_id
    skipped = (RunLifeCycleState.SKIPPED, RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED)
    assert end_of(workspace, second)[""] == skipped
    workspace.release("one")
    workspace.wait_for(run_id)
    assert workspace.cluster_starts == 1
    assert [bool(each.settings.tasks) for each in jobs.list(name="workshop") if each.settings] == [False]
    (listed,) = [each.settings for each in jobs.list(name="workshop", expand_tasks=True) if each.settings]
    assert [task.task_key for task in listed.tasks or []] == ["one", "two"]
    jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist):
        jobs.get(job_id)
