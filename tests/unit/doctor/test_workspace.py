"""`workshop doctor` on a workspace whose set-up is good, or cannot be checked."""

import importlib.util
import os
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from typer.testing import CliRunner

from databricks_local.workspace import Workspace
from tests.support.doctor import CHECKS, COMMIT, MODEL, commit_pushed, doctor
from workshop.cli.doctor import app


def test_a_good_set_up_holds_in_every_line_and_is_left_as_it_was(good: Workspace) -> None:
    code, findings = doctor()
    assert code == 0
    assert tuple(findings) == CHECKS
    assert {finding["mark"] for finding in findings.values()} == {"holds"}, findings
    assert findings["sign-in"]["text"] == f"workshop-cd ({good.client_id}) at {good.host}, by pat"
    assert "databricks-sdk 0." in findings["versions"]["text"] and "mlflow 3." in findings["versions"]["text"]
    assert good.unknown == []
    assert list((good.root / "Workspace" / "Shared" / "workshop").iterdir()) == []
    assert not good.runs and not good.cluster_starts


def test_for_a_person_each_finding_is_one_line(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    good.forbidden_folders.add("/Workspace/Shared/workshop")
    done = CliRunner().invoke(app, ["--target", "databricks", "--model", MODEL])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line[0] for line in lines] == ["✓"] * 8 + ["✗"] * 2 + ["✓"] * 6
    assert lines[8].startswith("✗ workspace folder: workshop-cd may not write to /Workspace/Shared/workshop (")


def test_what_is_worth_knowing_does_not_fail(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", good.person_token)
    monkeypatch.delenv("WORKSHOP_TABLES")
    good.clusters["0923-1"]["state"] = "TERMINATED"
    good.fail_next("registered-models/get", status=404)  # there is no such model
    code, findings = doctor(model="wine_quality")
    notes = {name: finding["text"] for name, finding in findings.items() if finding["mark"] == "note"}
    assert code == 0
    assert list(notes) == ["service principal", "compute", "wines"]
    assert "the cluster shared is TERMINATED: the run starts it in about five minutes" in notes["compute"]
    assert "Ada Lovelace is a person" in notes["service principal"]


def test_compute_that_cannot_be_checked_before_a_run_is_a_note(
    good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUTE", "serverless")
    code, findings = doctor()
    assert (code, findings["compute"]["mark"]) == (0, "note")
    assert "only the first run shows" in findings["compute"]["text"]


def test_the_deployed_job_must_exist_and_have_the_commit(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> dict[str, str]:
        return doctor()[1]["compute"]

    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUTE", "job_cluster")
    assert (found()["mark"], "set WORKSHOP_DATABRICKS_JOB_ID" in found()["text"]) == ("fails", True)
    monkeypatch.setenv("WORKSHOP_DATABRICKS_JOB_ID", "17")
    assert "Job 17 does not exist" in found()["text"]
    for commit, mark in {COMMIT: "note", COMMIT[::-1]: "fails"}.items():
        notebook = {"notebook_path": "/Workspace/x", "base_parameters": {"WORKSHOP_GIT_COMMIT": commit}}
        task = {"task_key": "x", "notebook_task": notebook, "existing_cluster_id": "0923-1"}
        settings = {"name": "workshop", "tasks": [task]}
        created: Any = WorkspaceClient().api_client.do("POST", "/api/2.2/jobs/create", body=settings)
        monkeypatch.setenv("WORKSHOP_DATABRICKS_JOB_ID", str(created["job_id"]))
        assert found()["mark"] == mark


def test_code_from_git_holds_where_the_commit_is_pushed_and_a_credential_there(
    good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_pushed(good, monkeypatch)
    _, findings = doctor()
    assert findings["code"]["mark"] == "holds"
    assert f"{os.environ['WORKSHOP_GIT_COMMIT'][:12]} is pushed" in findings["code"]["text"]


def test_a_404_of_something_else_than_the_service_is_not_taken_for_an_answer(good: Workspace) -> None:
    good.fail_next("unity-catalog/tables/", status=404, error_code="ENDPOINT_NOT_FOUND")
    code, findings = doctor()
    assert (code, findings["wines"]["mark"]) == (1, "fails")


def test_an_unknown_setting_is_noticed(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_COMPUT", "cluster")
    monkeypatch.setenv("WORKSHOP_DATABRICKS_QQQ", "1")
    code, findings = doctor()
    assert (code, findings["settings"]["mark"]) == (0, "note")
    assert (
        "WORKSHOP_DATABRICKS_COMPUT is not a setting, did you mean WORKSHOP_DATABRICKS_COMPUTE?"
        in (findings["settings"]["text"])
    )
    assert "WORKSHOP_DATABRICKS_QQQ is not a setting" in findings["settings"]["text"]


def test_the_host_in_the_environment_chooses_what_is_looked_at(good: Workspace) -> None:
    assert tuple(doctor()[1]) == CHECKS
    assert tuple(doctor("--target", "databricks")[1]) == CHECKS


def test_without_the_sdk_nothing_else_is_looked_at(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, findings = doctor()
    assert code == 1
    assert list(findings) == ["databricks-sdk"]
    assert "pip install" in findings["databricks-sdk"]["text"]
