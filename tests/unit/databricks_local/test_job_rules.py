"""Submissions that the workspace refuses."""

import re
from typing import Any

import pytest

from databricks_local.workspace import Workspace
from tests.support.workspace_client import GIT, WHEEL, post, task

_ENVIRONMENT = {"environment_key": "default", "spec": {"environment_version": "3", "dependencies": []}}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"colour": "red"}, 400, "Unknown field: colour"),
        ({"job_clusters": []}, 400, "Unknown field: job_clusters"),
        ({"tasks": []}, 400, "at least one task"),
        ({"tasks": [task("one", job_cluster_key="shared")]}, 400, "Unknown field: tasks.0.job_cluster_key"),
        ({"tasks": [task("one"), task("one")]}, 400, "Duplicate task_key: one"),
        ({"tasks": [task("1.1 prep")]}, 400, "Invalid task_key '1.1 prep'"),
        ({"tasks": [task("one", "ghost")]}, 400, "depends on ghost"),
        ({"tasks": [task("one", "two"), task("two", "one")]}, 400, "in a circle"),
        ({"tasks": [task("one", environment_key="ghost")]}, 400, "environment ghost is not defined"),
        ({"tasks": [task("one", existing_cluster_id="ghost")]}, 400, "Cluster ghost does not exist"),
        ({"tasks": [task("one", existing_cluster_id="theirs")]}, 403, "do not have permission"),
        ({"tasks": [task("one", libraries=[{"whl": WHEEL}])]}, 400, "libraries are not supported on serverless"),
        ({"tasks": [task("one", new_cluster={"spark_version": "16.4"})]}, 400, "node_type_id or instance_pool_id"),
        ({"tasks": [task("one", notebook_task={"notebook_path": "one"})]}, 400, "must begin with '/'"),
        ({"git_source": GIT}, 400, "the notebook path in a repository must be relative"),
        ({"git_source": {**GIT, "git_branch": "main"}}, 400, "Exactly one of git_branch, git_tag and git_commit"),
        ({"environments": [{"environment_key": "e", "spec": {}}]}, 400, "either environment_version or"),
        ({"environments": [_ENVIRONMENT, _ENVIRONMENT]}, 400, "Duplicate environment_key: default"),
        ({"run_name": "x" * 4097}, 400, "at most 4096 bytes"),
        ({"idempotency_token": "x" * 65}, 400, "at most 64 characters"),
        ({"timeout_seconds": "60"}, 400, "Invalid value for field timeout_seconds"),
        (
            {"tasks": [task("one", notebook_task={"notebook_path": "/a", "base_parameters": {"seed": 42}})]},
            *(400, "Invalid value for field tasks.0.notebook_task.base_parameters.seed"),
        ),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:50],
)
def test_a_submission_that_is_refused(workspace: Workspace, changes: dict[str, Any], status: int, message: str) -> None:
    body = {"run_name": "a run", "tasks": [task("one")], **changes}
    answer = post(workspace, "/api/2.2/jobs/runs/submit", body)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert not workspace.runs
