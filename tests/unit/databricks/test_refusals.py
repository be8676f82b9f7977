"""Mistakes of a user on the way to a run on Databricks: one sentence each, and nothing left running.

The sentences themselves are tested with the modules that raise them.
"""

import io
from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import (
    FIRST,
    SECOND,
    THIRD,
    left_in,
    nothing_is_left,
    run,
    small_notebook,
    summaries,
)
from workshop.core.notebook_result import HandedOver
from workshop.databricks import upload

pytestmark = pytest.mark.integration

PREPARED = HandedOver(
    outcome=None, said={"prepared": "no_name@0"}, data_version={}, parameters={"run_name": "no_name"}
).model_dump_json()


def refused(workspace: Workspace, *arguments: str, exit_code: int = 1) -> str:
    """Return the one sentence of a run that could not start."""
    ended = run(*arguments)
    assert ended.code == exit_code, ended.out + ended.err
    (sentence,) = ended.err.strip().splitlines()
    assert workspace.active_runs() == []
    assert left_in(workspace) == []
    return sentence


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DATABRICKS_TOKEN": "{workspace.expired_token}"}, "make a new token and set DATABRICKS_TOKEN"),
        ({"DATABRICKS_TOKEN": "{workspace.person_token}", "TF_BUILD": "True"}, "signs in as a service principal"),
        ({"WORKSHOP_DATABRICKS_HOME": ""}, "set WORKSHOP_DATABRICKS_HOME to a folder in a volume"),
        ({"WORKSHOP_GIT_COMMIT": "c0ffee" * 6 + "c0ff-dirty"}, "Files differ from the commit c0ffeec0ffee"),
        (
            {"WORKSHOP_DATABRICKS_CODE": "git", "WORKSHOP_DATABRICKS_GIT_URL": "https://x/y"},
            "is on no remote branch",
        ),
        ({"WORKSHOP_DATABRICKS_COMPUTE": "cluster"}, "WORKSHOP_DATABRICKS_CLUSTER_ID"),
        (
            {"WORKSHOP_DATABRICKS_COMPUTE": "cluster", "WORKSHOP_DATABRICKS_CLUSTER_ID": "0923-1"},
            "Cluster 0923-1 does not exist",
        ),
    ],
)
def test_a_wrong_set_up_is_refused_before_anything_is_started(
    workspace: Workspace, variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_git", lambda *_: b"")  # no remote branch contains the commit
    monkeypatch.setattr(upload, "of_commit", lambda commit, _: upload.Code(commit, Path(__file__), {}, ()))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(workspace=workspace))
    sentence = refused(workspace)
    assert words in sentence
    assert [secret for secret in workspace.secrets if secret in sentence] == []
    assert workspace.runs == {}


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/Shared/workshop/code", "does not let you put the code into /Workspace/Shared/workshop/code/"),
        ("/Shared", "does not let you make the folder /Shared/workshop/wine_quality for MLflow's experiments"),
    ],
)
def test_a_folder_without_the_right_to_write(workspace: Workspace, folder: str, words: str) -> None:
    workspace.forbidden_folders.add(folder)
    assert words in refused(workspace)


def test_a_file_at_the_place_of_the_code_is_kept(
    workspace: Workspace, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "place_of", lambda *_: "/Workspace/Shared/taken")
    place = workspace.root / "Workspace" / "Shared"
    place.mkdir(parents=True, exist_ok=True)
    (place / "taken").write_text("not a folder", encoding="utf-8")
    assert "/Workspace/Shared/taken in the workspace is not a folder" in refused(workspace)
    assert (place / "taken").read_text(encoding="utf-8") == "not a folder"


def test_a_result_over_the_services_limit_is_no_decision(workspace: Workspace, home: Path) -> None:
    workspace.outcomes.update({FIRST: "SUCCESS", SECOND: "SUCCESS", THIRD: "SUCCESS"})
    workspace.results.update({FIRST: PREPARED, SECOND: "x" * (5 * 2**20 + 1)})
    assert run().code == 1
    assert "more than the 5 MB that Databricks keeps of a result" in summaries(home)[0]["sentence"]
    nothing_is_left(workspace)


@pytest.mark.parametrize(
    ("name", "owed"), [("1_1", "the table that it has prepared"), ("1_2", "the version"), ("1_3", "its decision")]
)
def test_a_notebook_without_a_result_is_red(name: str, owed: str, workspace: Workspace, home: Path) -> None:
    workspace.outcomes.update({FIRST: "SUCCESS", SECOND: "SUCCESS", THIRD: "SUCCESS"})
    assert run("--notebooks", name).code == 1
    assert f"ended without handing over {owed}" in summaries(home)[0]["sentence"]


def test_a_widget_that_is_not_passed_is_one_sentence(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = upload.of_commit

    def with_a_small_notebook(commit: str, folder: Path) -> upload.Code:
        made = real(commit, folder)
        return upload.Code(commit, made.wheel, {FIRST: small_notebook("dbutils.widgets.get('temperature')")}, made.pins)

    monkeypatch.setattr(upload, "of_commit", with_a_small_notebook)
    ended = run("--notebooks", "1_1")
    assert ended.code == 1
    assert "it reads the widget temperature, which is not passed" in summaries(home)[0]["sentence"]
    nothing_is_left(workspace)


def test_a_commit_that_databricks_does_not_find_is_red(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "require_pushed", lambda *_: None)
    monkeypatch.setenv("WORKSHOP_DATABRICKS_CODE", "git")
    monkeypatch.setenv("WORKSHOP_DATABRICKS_GIT_URL", "https://dev.azure.com/org/project/_git/wine")
    assert run().code == 1
    assert "see its page" in summaries(home)[0]["sentence"]
    nothing_is_left(workspace)


def test_a_time_out_for_cells_is_refused(workspace: Workspace) -> None:
    assert "Databricks has no time-out for a cell" in refused(workspace, "--cell-timeout", "60", exit_code=2)


def test_a_run_of_another_program_is_not_followed(workspace: Workspace) -> None:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.compute import Environment
    from databricks.sdk.service.jobs import JobEnvironment, NotebookTask, SubmitTask
    from databricks.sdk.service.workspace import ImportFormat, Language

    client = WorkspaceClient()
    client.workspace.mkdirs("/Shared/theirs")
    notebook = io.BytesIO(small_notebook("1"))
    client.workspace.upload("/Shared/theirs/it", notebook, format=ImportFormat.JUPYTER, language=Language.PYTHON)
    workspace.outcomes["it"] = "SUCCESS"
    theirs = client.jobs.submit(
        run_name="theirs",
        tasks=[SubmitTask(task_key="it", notebook_task=NotebookTask("/Shared/theirs/it"), environment_key="e")],
        environments=[JobEnvironment("e", Environment(environment_version="4"))],
    ).run_id
    assert f"The run {theirs} was not submitted by `workshop run`" in refused(workspace, "--follow", str(theirs))
