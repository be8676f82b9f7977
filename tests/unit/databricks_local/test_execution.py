"""Tasks that are executed as real kernels."""

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path

import nbformat
import psutil
import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
)
from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState
from databricks.sdk.service.workspace import ImportFormat

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
    notebook_of,
    submit,
    task,
    upload_notebook,
)


@pytest.mark.integration
def test_tasks_are_executed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "/nowhere")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("workshop/__init__.py", "COMMIT = 'abc'")
    upload_notebook(
        workspace,
        "one",
        "import json, os, workshop",
        "dbutils.widgets.text('seed', '42')\nseen = dbutils.widgets.getAll()",
        "dbutils.notebook.exit(json.dumps([workshop.COMMIT, seen, sorted(os.environ.keys() & {'WORKSHOP_HOME'})]))",
        "1 / 0",
    )
    upload_notebook(workspace, "two", "import workshop")
    upload_notebook(workspace, "three", "1")
    client_of(workspace).workspace.upload(WHEEL, content.getvalue(), format=ImportFormat.AUTO)
    parameters = {"model": "wine", "WORKSHOP_HOME": workspace.home, "elsewhere": "/Volumes/main/ghost/files"}
    one = task(
        "one", notebook_task={"notebook_path": f"{FOLDER}/one", "base_parameters": parameters}, environment_key="e"
    )
    spec = {"environment_version": "3", "dependencies": [WHEEL, "numpy>1"]}
    environments = [{"environment_key": "e", "spec": spec}]
    run_id = submit(workspace, one, task("two", "one"), task("three", "two"), environments=environments)
    ends = end_of(workspace, run_id)
    assert ends == {"": FAILS, "one": (RunLifeCycleState.TERMINATED, RunResultState.SUCCESS), "two": FAILS} | {
        "three": UPSTREAM_FAILED
    }

    jobs = client_of(workspace).jobs
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
    (repository / "notebooks" / "one.ipynb").write_bytes(notebook_of(report_pid, "time.sleep(600)"))
    git = ["git", "-C", str(repository), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a notebook"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    workspace.repositories[GIT["git_url"]] = repository
    workspace.commits.add(commit)

    of_the_commit = {**task("one"), "notebook_task": {"notebook_path": "notebooks/one"}}
    run_id = submit(workspace, of_the_commit, git_source={**GIT, "git_commit": commit})
    kernel = psutil.Process(int(begun.read_text()))
    client_of(workspace).jobs.cancel_run(run_id)
    assert end_of(workspace, run_id) == {"": CANCELED, "one": CANCELED}
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
