"""The workspace over real HTTP, mostly with the SDK: sign-in, files, jobs, runs, the catalog, and faults."""

import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    Unauthenticated,
)
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState, TerminationCodeCode
from databricks.sdk.service.workspace import ImportFormat, ObjectType

from databricks_local import workspace as stand_in
from databricks_local.answers import Request
from databricks_local.azure_cli import write_az
from databricks_local.workspace import Workspace

_FOLDER = "/Workspace/Shared/workshop"
_WHEEL = f"{_FOLDER}/workshop-0.1.0-py3-none-any.whl"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_"))]:
        monkeypatch.delenv(name)
    clusters: dict[str, dict[str, Any]] = {"ours": {"state": "TERMINATED"}, "theirs": {"permitted": False}}
    with stand_in.running(tmp_path / "workspace", clusters=clusters) as running:
        yield running


def _client(workspace: Workspace, **settings: Any) -> WorkspaceClient:
    known = {"host": workspace.host, **(settings or {"token": workspace.token})}
    return WorkspaceClient(config=Config(retry_timeout_seconds=5, http_timeout_seconds=5, **known))


def _post(workspace: Workspace, path: str, body: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {workspace.token}"}
    return requests.post(f"{workspace.host}{path}", json=body, headers=headers, timeout=5)


def _notebook(*cells: str) -> bytes:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return str(nbformat.writes(notebook)).encode()


def _upload(workspace: Workspace, name: str, *cells: str) -> None:
    client = _client(workspace)
    client.workspace.mkdirs(_FOLDER)
    client.workspace.upload(f"{_FOLDER}/{name}.ipynb", _notebook(*cells), format=ImportFormat.AUTO, overwrite=True)


def _task(name: str, *upstream: str, **fields: Any) -> dict[str, Any]:
    return {
        "task_key": name,
        "depends_on": [{"task_key": key} for key in upstream],
        "notebook_task": {"notebook_path": f"{_FOLDER}/{name}"},
        **fields,
    }


def _submit(workspace: Workspace, *tasks: dict[str, Any], **fields: Any) -> int:
    answer = _post(workspace, "/api/2.2/jobs/runs/submit", {"run_name": "a run", "tasks": tasks, **fields})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["run_id"])


def _ends(workspace: Workspace, run_id: int) -> dict[str, tuple[RunLifeCycleState, RunResultState | None]]:
    """Return the state and result of the run, as "", and of each task, as the SDK reads them."""
    workspace.wait_for(run_id)
    run = _client(workspace).jobs.get_run(run_id)
    states = {"": run.state, **{task.task_key: task.state for task in run.tasks or []}}
    return {key: (state.life_cycle_state, state.result_state) for key, state in states.items() if state is not None}  # type: ignore[misc]


def test_a_credential_identifies_the_caller(workspace: Workspace) -> None:
    assert _client(workspace).current_user.me().user_name == workspace.client_id
    person = _client(workspace, token=workspace.person_token).current_user.me()
    assert (person.user_name, person.emails is not None) == ("ada@example.com", True)


@pytest.mark.parametrize(
    ("header", "status", "message"),
    [
        ("", 401, "Credential was not sent or was of an unsupported type for this API."),
        ("Bearer dapi0", 403, "Invalid access token."),
        ("Bearer expired", 403, "JWT has expired"),
    ],
)
def test_a_wrong_credential_is_refused(workspace: Workspace, header: str, status: int, message: str) -> None:
    headers = {"Authorization": header.replace("expired", workspace.expired_token)} if header else {}
    answer = requests.get(f"{workspace.host}/api/2.2/jobs/runs/list", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (status, {"error_code": status, "message": message})


def test_a_service_principal_signs_in_with_its_secret(workspace: Workspace) -> None:
    me = _client(workspace, client_id=workspace.client_id, client_secret=workspace.client_secret).current_user.me()
    assert me.user_name == workspace.client_id
    with pytest.raises(ValueError, match="invalid_client: Client authentication failed"):
        _client(workspace, client_id=workspace.client_id, client_secret="dose0").current_user.me()


def test_a_pipeline_signs_in_by_its_federation_policy(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspace.azure_devops_environment().items():
        monkeypatch.setenv(name, value)
    settings = {"client_id": workspace.client_id, "auth_type": "azure-devops-oidc"}
    assert _client(workspace, **settings).current_user.me().user_name == workspace.client_id

    workspace.identity.pipeline.name = "another"
    with pytest.raises(ValueError, match="subject p://our-organization/workshop/another"):
        _client(workspace, **settings).current_user.me()
    workspace.identity.federation_policy = None
    with pytest.raises(ValueError, match="No federation policy found"):
        _client(workspace, **settings).current_user.me()


def test_the_azure_cli_signs_in(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_az(tmp_path / "bin", workspace)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    settings = {"host": workspace.azure_host, "auth_type": "azure-cli"}
    assert _client(workspace, **settings).current_user.me().user_name == workspace.client_id
    write_az(tmp_path / "bin", workspace, signed_in=False)
    with pytest.raises(ValueError, match="cannot configure default credentials"):
        _client(workspace, **settings)


def test_workspace_files(workspace: Workspace) -> None:
    files = _client(workspace).workspace
    files.mkdirs(f"{_FOLDER}/code")
    files.upload(f"{_FOLDER}/code/one.ipynb", _notebook("1"), format=ImportFormat.AUTO)
    files.upload("/Shared/workshop/code/two.whl", b"\r\n--wheel\r\n", format=ImportFormat.AUTO)
    listed = {each.path: each.object_type for each in files.list(f"{_FOLDER}/code")}
    assert listed == {f"{_FOLDER}/code/one": ObjectType.NOTEBOOK, f"{_FOLDER}/code/two.whl": ObjectType.FILE}
    assert (workspace.root / "Workspace/Shared/workshop/code/two.whl").read_bytes() == b"\r\n--wheel\r\n"

    with pytest.raises(ResourceAlreadyExists):
        files.upload(f"{_FOLDER}/code/one", _notebook("2"), format=ImportFormat.JUPYTER)
    with pytest.raises(BadRequest, match="is not empty"):
        files.delete(_FOLDER)
    files.delete(_FOLDER, recursive=True)
    with pytest.raises(ResourceDoesNotExist):
        files.get_status(f"{_FOLDER}/code/one")


def test_workspace_files_that_are_refused(workspace: Workspace) -> None:
    files = _client(workspace).workspace
    workspace.forbidden_folders.add("/Workspace/Shared/theirs")
    with pytest.raises(ResourceDoesNotExist, match="The parent folder"):
        files.upload("/Workspace/Shared/nowhere/one.whl", b"", format=ImportFormat.AUTO)
    with pytest.raises(PermissionDenied):
        files.mkdirs("/Shared/theirs/ours")
    with pytest.raises(DatabricksError, match="exceeded max size") as refused:
        files.upload("/Workspace/Shared/big.whl", bytes(10 * 1024 * 1024 + 1), format=ImportFormat.AUTO)
    assert refused.value.error_code == "MAX_NOTEBOOK_SIZE_EXCEEDED"
    with pytest.raises(InvalidParameterValue, match="must be absolute"):
        files.mkdirs("Shared/ours")
    with pytest.raises(DatabricksError, match="not a Jupyter notebook"):
        files.upload("/Workspace/Shared/one.ipynb", b"{}", format=ImportFormat.AUTO)


_GIT = {"git_url": "https://dev.azure.com/o/p/_git/r", "git_provider": "azureDevOpsServices", "git_commit": "c" * 40}
_CLUSTER = {"spark_version": "16.4.x-scala2.13", "node_type_id": "Standard_D4ds_v5", "num_workers": 1}
_ENVIRONMENT = {"environment_key": "default", "spec": {"environment_version": "3", "dependencies": []}}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"colour": "red"}, 400, "Unknown field: colour"),
        ({"job_clusters": []}, 400, "Unknown field: job_clusters"),
        ({"tasks": []}, 400, "at least one task"),
        ({"tasks": [_task("one", job_cluster_key="shared")]}, 400, "Unknown field: tasks.0.job_cluster_key"),
        ({"tasks": [_task("one"), _task("one")]}, 400, "Duplicate task_key: one"),
        ({"tasks": [_task("1.1 prep")]}, 400, "Invalid task_key '1.1 prep'"),
        ({"tasks": [_task("one", "ghost")]}, 400, "depends on ghost"),
        ({"tasks": [_task("one", "two"), _task("two", "one")]}, 400, "in a circle"),
        ({"tasks": [_task("one", environment_key="ghost")]}, 400, "environment ghost is not defined"),
        ({"tasks": [_task("one", existing_cluster_id="ghost")]}, 400, "Cluster ghost does not exist"),
        ({"tasks": [_task("one", existing_cluster_id="theirs")]}, 403, "do not have permission"),
        ({"tasks": [_task("one", libraries=[{"whl": _WHEEL}])]}, 400, "libraries are not supported on serverless"),
        ({"tasks": [_task("one", new_cluster={"spark_version": "16.4"})]}, 400, "node_type_id or instance_pool_id"),
        ({"tasks": [_task("one", notebook_task={"notebook_path": "one"})]}, 400, "must begin with '/'"),
        ({"git_source": _GIT}, 400, "the notebook path in a repository must be relative"),
        ({"git_source": {**_GIT, "git_branch": "main"}}, 400, "Exactly one of git_branch, git_tag and git_commit"),
        ({"environments": [{"environment_key": "e", "spec": {}}]}, 400, "either environment_version or"),
        ({"environments": [_ENVIRONMENT, _ENVIRONMENT]}, 400, "Duplicate environment_key: default"),
        ({"run_name": "x" * 4097}, 400, "at most 4096 bytes"),
        ({"idempotency_token": "x" * 65}, 400, "at most 64 characters"),
        ({"timeout_seconds": "60"}, 400, "Invalid value for field timeout_seconds"),
        (
            {"tasks": [_task("one", notebook_task={"notebook_path": "/a", "base_parameters": {"seed": 42}})]},
            *(400, "Invalid value for field tasks.0.notebook_task.base_parameters.seed"),
        ),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:50],
)
def test_a_submission_that_is_refused(workspace: Workspace, changes: dict[str, Any], status: int, message: str) -> None:
    body = {"run_name": "a run", "tasks": [_task("one")], **changes}
    answer = _post(workspace, "/api/2.2/jobs/runs/submit", body)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert not workspace.runs


_FAILS = (RunLifeCycleState.TERMINATED, RunResultState.FAILED)
_UPSTREAM_FAILED = (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_FAILED)
_EXCLUDED = (RunLifeCycleState.SKIPPED, RunResultState.EXCLUDED)
_CANCELED = (RunLifeCycleState.TERMINATED, RunResultState.CANCELED)
_BROKEN = (RunLifeCycleState.INTERNAL_ERROR, RunResultState.FAILED)


@pytest.mark.parametrize(
    ("outcome", "run", "one", "two"),
    [
        ("FAILED", _FAILS, _FAILS, _UPSTREAM_FAILED),
        (
            *("TIMEDOUT", _FAILS),
            *((RunLifeCycleState.TERMINATED, RunResultState.TIMEDOUT), _UPSTREAM_FAILED),
        ),
        ("SKIPPED", (RunLifeCycleState.TERMINATED, RunResultState.SUCCESS), _EXCLUDED, _EXCLUDED),
        ("CANCELED", _CANCELED, _CANCELED, (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_CANCELED)),
        ("INTERNAL_ERROR", _BROKEN, _BROKEN, _UPSTREAM_FAILED),
    ],
)
def test_a_task_ends_with_the_outcome_that_was_set(
    workspace: Workspace, outcome: str, run: Any, one: Any, two: Any
) -> None:
    workspace.outcomes["one"] = outcome
    run_id = _submit(workspace, _task("one"), _task("two", "one"))
    assert _ends(workspace, run_id) == {"": run, "one": one, "two": two}


def test_a_token_starts_one_run(workspace: Workspace) -> None:
    workspace.hold("one")
    first = _submit(workspace, _task("one"), idempotency_token="once")
    assert _submit(workspace, _task("two"), idempotency_token="once") == first
    assert _client(workspace).jobs.get_run(first).state.life_cycle_state is RunLifeCycleState.PENDING  # type: ignore[union-attr]
    assert [run.run_id for run in workspace.active_runs()] == [first]

    _client(workspace).jobs.cancel_run(first)
    assert _ends(workspace, first) == {"": _CANCELED, "one": _CANCELED}
    assert not workspace.active_runs()


def test_a_run_times_out(workspace: Workspace) -> None:
    workspace.hold("one")
    run_id = _submit(workspace, _task("one"), _task("two", "one"), timeout_seconds=1)
    timed_out = (RunLifeCycleState.TERMINATED, RunResultState.TIMEDOUT)
    canceled = (RunLifeCycleState.SKIPPED, RunResultState.UPSTREAM_CANCELED)
    assert _ends(workspace, run_id) == {"": timed_out, "one": timed_out, "two": canceled}


def test_a_run_with_a_missing_requirement(workspace: Workspace, tmp_path: Path) -> None:
    _upload(workspace, "one", "1")
    spec = {"environment_version": "3", "dependencies": [_WHEEL]}
    git = {**_task("one"), "notebook_task": {"notebook_path": "notebooks/one"}}
    no_notebook = _submit(workspace, _task("ghost"))
    no_wheel = _submit(
        workspace, _task("one", environment_key="e"), environments=[{"environment_key": "e", "spec": spec}]
    )
    no_repository = _submit(workspace, git, git_source=_GIT)

    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    workspace.repositories[_GIT["git_url"]] = repository
    no_commit = _submit(workspace, git, git_source=_GIT)
    workspace.wait_for(no_commit)
    workspace.git_credentials.clear()
    no_credential = _submit(workspace, git, git_source=_GIT)
    for run_id, code, message in (
        (no_notebook, TerminationCodeCode.RESOURCE_NOT_FOUND, f'Unable to access the notebook "{_FOLDER}/ghost"'),
        (no_wheel, TerminationCodeCode.LIBRARY_INSTALLATION_ERROR, f"{_WHEEL} does not exist"),
        (no_repository, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, "cannot read https://dev.azure.com/"),
        (no_credential, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, "cannot read https://dev.azure.com/"),
        (no_commit, TerminationCodeCode.REPOSITORY_CHECKOUT_FAILED, f"commit {_GIT['git_commit']} is not in"),
    ):
        assert _ends(workspace, run_id)[""] == _BROKEN
        details = _client(workspace).jobs.get_run(run_id).status.termination_details  # type: ignore[union-attr]
        assert details is not None
        assert details.code is code
        assert message in str(details.message)


def test_the_output_of_a_task(workspace: Workspace) -> None:
    workspace.outcomes.update(one="SUCCESS", two="FAILED")
    workspace.results["one"] = "é" * (5 * 1024 * 1024)
    workspace.errors["two"] = "WorkshopError: no"
    run = workspace.wait_for(_submit(workspace, _task("one"), _task("two")))
    one, two = (_client(workspace).jobs.get_run_output(task.run_id) for task in run.tasks.values())
    assert one.notebook_output is not None
    assert (len(one.notebook_output.result or ""), one.notebook_output.truncated) == (5 * 1024 * 1024 // 2, True)
    assert (two.error, two.notebook_output and two.notebook_output.result) == ("WorkshopError: no", None)


def test_clusters(workspace: Workspace) -> None:
    clusters = _client(workspace).clusters
    assert str(clusters.get("ours").state) == "State.TERMINATED"
    with pytest.raises(PermissionDenied):
        clusters.get("theirs")
    with pytest.raises(ResourceDoesNotExist):
        clusters.get("ghost")


@pytest.mark.parametrize(
    ("compute", "starts"),
    [
        ({}, 1),
        ({"existing_cluster_id": "ours"}, 1),
        ({"new_cluster": _CLUSTER}, 2),
    ],
)
def test_the_starts_of_clusters_are_counted(workspace: Workspace, compute: dict[str, Any], starts: int) -> None:
    workspace.wait_for(_submit(workspace, _task("one", **compute), _task("two", run_if="ALL_DONE", **compute)))
    assert workspace.cluster_starts == starts


def test_a_job_with_one_cluster_for_its_tasks(workspace: Workspace) -> None:
    tasks = [_task("one", job_cluster_key="shared"), _task("two", job_cluster_key="shared")]
    job = {
        "name": "workshop",
        "tasks": tasks,
        "job_clusters": [{"job_cluster_key": "shared", "new_cluster": _CLUSTER}],
        "parameters": [{"name": "seed", "default": "42"}],
    }
    assert (
        "job cluster shared is not defined"
        in _post(workspace, "/api/2.2/jobs/create", {**job, "job_clusters": []}).text
    )
    job_id = _post(workspace, "/api/2.2/jobs/create", job).json()["job_id"]
    workspace.hold("one")
    jobs = _client(workspace).jobs
    with pytest.raises(InvalidParameterValue, match="Job parameters colour are not defined"):
        jobs.run_now(job_id, job_parameters={"colour": "red"})
    with pytest.raises(InvalidParameterValue, match="cannot exceed 10000 bytes"):
        jobs.run_now(job_id, job_parameters={"seed": "1" * 10_000})
    run_id = jobs.run_now(job_id, job_parameters={"seed": "43"}, idempotency_token="once").run_id
    again = _post(workspace, "/api/2.2/jobs/run-now", {"job_id": job_id, "idempotency_token": "once"})
    assert again.json()["run_id"] == run_id
    second = jobs.run_now(job_id).run_id
    skipped = (RunLifeCycleState.SKIPPED, RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED)
    assert _ends(workspace, second)[""] == skipped
    workspace.release("one")
    workspace.wait_for(run_id)
    assert workspace.cluster_starts == 1
    assert [bool(each.settings.tasks) for each in jobs.list(name="workshop") if each.settings] == [False]
    (listed,) = [each.settings for each in jobs.list(name="workshop", expand_tasks=True) if each.settings]
    assert [task.task_key for task in listed.tasks or []] == ["one", "two"]
    jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist):
        jobs.get(job_id)


def test_the_creator_of_a_model_owns_it(workspace: Workspace) -> None:
    path = "/api/2.0/mlflow/unity-catalog/registered-models/create"
    body = b'{"name": "main.workshop.wine"}'
    workspace.catalog.allow(Request("POST", path, path, {}, {}, body, workspace.identity.service_principal))
    workspace.catalog.has_model = lambda name: True
    assert _client(workspace).registered_models.get("main.workshop.wine").owner == workspace.client_id
    assert _client(workspace).registered_models.get("main.workshop.other").owner == "platform-team"


def test_privileges_in_the_catalog(workspace: Workspace) -> None:
    client = _client(workspace)
    workspace.grants["SCHEMA", "main.secret"] = set()
    workspace.grants["CATALOG", "main"] = {"BROWSE"}
    workspace.grants["SCHEMA", "main.workshop"] = {"USE SCHEMA", "ALL PRIVILEGES"}
    assert client.volumes.read("main.workshop.files").full_name == "main.workshop.files"
    with pytest.raises(NotFound, match="does not exist"):
        client.schemas.get("main.ghost")
    effective = client.grants.get_effective("SCHEMA", "main.workshop", principal=workspace.client_id)
    assert effective.privilege_assignments is not None
    privileges = {
        each.privilege.value for each in effective.privilege_assignments[0].privileges or [] if each.privilege
    }
    assert {"USE_SCHEMA", "ALL_PRIVILEGES", "CREATE_MODEL"} <= privileges
    assert workspace.catalog.mounts()["/Volumes/main/workshop/files"].endswith("/Volumes/main/workshop/files")
    workspace.grants["SCHEMA", "main.workshop"] = {"USE SCHEMA"}
    assert not workspace.catalog.mounts()


def test_the_next_requests_fail_as_set(workspace: Workspace) -> None:
    def get() -> requests.Response:
        headers = {"Authorization": f"Bearer {workspace.token}"}
        return requests.get(f"{workspace.host}/api/2.2/jobs/runs/list", headers=headers, timeout=5)

    workspace.set_clock(7200)
    ahead = parsedate_to_datetime(get().headers["Date"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < ahead < timedelta(minutes=121)
    workspace.fail_next("GET .*/runs/list", status=429, headers={"Retry-After": "7"})
    answer = get()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    workspace.fail_next("runs/list", status=503, times=2)
    assert [get().status_code for _ in range(3)] == [503, 503, 200]
    workspace.fail_next("runs/list", drop=True)
    with pytest.raises(requests.ConnectionError):
        get()
    workspace.fail_next("Me", status=401)
    with pytest.raises(Unauthenticated):
        _client(workspace).current_user.me()
    workspace.hold("one")
    workspace.fail_next("runs/submit", drop=True, processed=True)
    with pytest.raises(requests.ConnectionError):
        _submit(workspace, _task("one"), idempotency_token="once")
    assert list(workspace.runs) == [_submit(workspace, _task("one"), idempotency_token="once")]
    assert "ENDPOINT_NOT_FOUND" in _post(workspace, "/api/2.2/jobs/ghost", {}).text
    assert workspace.unknown == ["POST /api/2.2/jobs/ghost"]


@pytest.mark.integration
def test_tasks_are_executed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "/nowhere")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("workshop/__init__.py", "COMMIT = 'abc'")
    _upload(
        workspace,
        "one",
        "import json, os, workshop",
        "dbutils.widgets.text('seed', '42')\nseen = dbutils.widgets.getAll()",
        "dbutils.notebook.exit(json.dumps([workshop.COMMIT, seen, sorted(os.environ.keys() & {'WORKSHOP_HOME'})]))",
        "1 / 0",
    )
    _upload(workspace, "two", "import workshop")
    _upload(workspace, "three", "1")
    _client(workspace).workspace.upload(_WHEEL, content.getvalue(), format=ImportFormat.AUTO)
    parameters = {"model": "wine", "WORKSHOP_HOME": workspace.home, "elsewhere": "/Volumes/main/ghost/files"}
    one = _task(
        "one", notebook_task={"notebook_path": f"{_FOLDER}/one", "base_parameters": parameters}, environment_key="e"
    )
    spec = {"environment_version": "3", "dependencies": [_WHEEL, "numpy>1"]}
    environments = [{"environment_key": "e", "spec": spec}]
    run_id = _submit(workspace, one, _task("two", "one"), _task("three", "two"), environments=environments)
    ends = _ends(workspace, run_id)
    assert ends == {"": _FAILS, "one": (RunLifeCycleState.TERMINATED, RunResultState.SUCCESS), "two": _FAILS} | {
        "three": _UPSTREAM_FAILED
    }

    jobs = _client(workspace).jobs
    outputs = {
        task.task_key: jobs.get_run_output(task.run_id) for task in jobs.get_run(run_id).tasks or [] if task.run_id
    }
    assert outputs["one"].notebook_output is not None
    commit, seen, inherited = json.loads(outputs["one"].notebook_output.result or "")
    assert (commit, seen["model"], seen["seed"], inherited) == ("abc", "wine", "42", [])
    assert seen["WORKSHOP_HOME"] == str(workspace.root / "Volumes/main/workshop/files")
    assert not Path(seen["elsewhere"]).parents[3].is_dir()
    assert outputs["two"].error == "ModuleNotFoundError: No module named 'workshop'"
    assert "import workshop" in str(outputs["two"].error_trace)
    shown = nbformat.read(workspace.executed[run_id, "one"], as_version=4)
    assert [output.output_type for cell in shown.cells for output in cell.outputs] == ["stream"]
    views = jobs.export_run(workspace.runs[run_id].tasks["one"].run_id).views or []
    assert [(view.name, "Notebook exited" in (view.content or "")) for view in views] == [("one", True)]
    with pytest.raises(InvalidParameterValue, match="runs with multiple tasks is not supported"):
        jobs.get_run_output(run_id)


@pytest.mark.integration
def test_a_cancelled_run_leaves_nothing_running(workspace: Workspace, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    repository = tmp_path / "repository"
    (repository / "notebooks").mkdir(parents=True)
    report_pid = f"import os, pathlib, time\npathlib.Path({str(begun)!r}).write_text(str(os.getpid()))"
    (repository / "notebooks" / "one.ipynb").write_bytes(_notebook(report_pid, "time.sleep(600)"))
    git = ["git", "-C", str(repository), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a notebook"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    workspace.repositories[_GIT["git_url"]] = repository
    workspace.commits.add(commit)

    task = {**_task("one"), "notebook_task": {"notebook_path": "notebooks/one"}}
    run_id = _submit(workspace, task, git_source={**_GIT, "git_commit": commit})
    kernel = psutil.Process(int(begun.read_text()))
    _client(workspace).jobs.cancel_run(run_id)
    assert _ends(workspace, run_id) == {"": _CANCELED, "one": _CANCELED}
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
