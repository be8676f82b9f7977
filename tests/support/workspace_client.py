"""A workspace's notebooks, tasks and runs, over the SDK and over plain HTTP."""

from typing import Any

import nbformat
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState
from databricks.sdk.service.workspace import ImportFormat

from databricks_local.workspace import Workspace

FOLDER = "/Workspace/Shared/workshop"
WHEEL = f"{FOLDER}/workshop-0.1.0-py3-none-any.whl"


def client_of(workspace: Workspace, **settings: Any) -> WorkspaceClient:
    """Return a client of the SDK, as the service principal unless the settings name another."""
    known = {"host": workspace.host, **(settings or {"token": workspace.token})}
    return WorkspaceClient(config=Config(retry_timeout_seconds=5, http_timeout_seconds=5, **known))


def post(workspace: Workspace, path: str, body: object) -> requests.Response:
    """Send a JSON body."""
    headers = {"Authorization": f"Bearer {workspace.token}"}
    return requests.post(f"{workspace.host}{path}", json=body, headers=headers, timeout=5)


def notebook_of(*cells: str) -> bytes:
    """Return a notebook with these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return str(nbformat.writes(notebook)).encode()


def upload_notebook(workspace: Workspace, name: str, *cells: str) -> None:
    """Upload a notebook with these code cells."""
    client = client_of(workspace)
    client.workspace.mkdirs(FOLDER)
    client.workspace.upload(f"{FOLDER}/{name}.ipynb", notebook_of(*cells), format=ImportFormat.AUTO, overwrite=True)


def task(name: str, *upstream: str, **fields: Any) -> dict[str, Any]:
    """Return the definition of a task that runs the notebook of that name."""
    return {
        "task_key": name,
        "depends_on": [{"task_key": key} for key in upstream],
        "notebook_task": {"notebook_path": f"{FOLDER}/{name}"},
        **fields,
    }


def submit(workspace: Workspace, *tasks: dict[str, Any], **fields: Any) -> int:
    """Submit a run and return its id."""
    answer = post(workspace, "/api/2.2/jobs/runs/submit", {"run_name": "a run", "tasks": tasks, **fields})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["run_id"])


def end_of(workspace: Workspace, run_id: int) -> dict[str, tuple[RunLifeCycleState, RunResultState | None]]:
    """Return the state and result of the run, as "", and of each task, as the SDK reads them."""
    workspace.wait_for(run_id)
    run = client_of(workspace).jobs.get_run(run_id)
    states = {"": run.state, **{task.task_key: task.state for task in run.tasks or []}}
    return {key: (state.life_cycle_state, state.result_state) for key, state in states.items() if state is not None}  # type: ignore[misc]


GIT = {"git_url": "https://dev.azure.com/o/p/_git/r", "git_provider": "azureDevOpsServices", "git_commit": "c" * 40}


FAILS = (RunLifeCycleState.TERMINATED, RunResultState.FAILED)
UPSTREAM_FAILED = (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_FAILED)
CANCELED = (RunLifeCycleState.TERMINATED, RunResultState.CANCELED)
