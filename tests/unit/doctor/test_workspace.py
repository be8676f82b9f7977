"""`workshop doctor` on a workspace: a good set-up, and one with one thing broken at a time."""

import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import RealClock
from databricks.sdk.service import compute, ml
from typer.testing import CliRunner

from databricks_local import workspace as stand_in
from databricks_local.mlflow_server import free_port
from workshop.cli.doctor import app
from workshop.databricks import upload
from workshop.doctor import workspace

Workspace = stand_in.Workspace
Break = Callable[[Workspace, pytest.MonkeyPatch], None]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "main.workshop.wine_quality"
CHECKS = (
    *("databricks-sdk", "versions", "settings", "clock", "sign-in", "service principal", "compute", "code"),
    *("workspace folder", "experiments", "catalog", "schema", "volume", "tables", "wines", "model"),
)


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A set-up in which everything holds."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_", "TF_BUILD"))]:
        monkeypatch.delenv(name)
    cluster = {"0923-1": {"state": "RUNNING", "permitted": True, "cluster_name": "shared"}}
    with stand_in.running(tmp_path / "workspace", clusters=cluster) as there:
        for name, value in {
            "HOME": str(tmp_path),
            "DATABRICKS_HOST": there.host,
            "DATABRICKS_TOKEN": there.token,
            "WORKSHOP_GIT_COMMIT": COMMIT,
            "WORKSHOP_DATABRICKS_HOME": f"{there.home}/wine",
            "WORKSHOP_TABLES": "main.workshop",
            "WORKSHOP_DATABRICKS_COMPUTE": "cluster",
            "WORKSHOP_DATABRICKS_CLUSTER_ID": "0923-1",
        }.items():
            monkeypatch.setenv(name, value)
        there.catalog.tables.update({"main.workshop.development", "main.workshop.production"})
        monkeypatch.setattr(workspace, "_SECONDS_TO_RETRY", 1)
        yield there


def doctor(*arguments: str, model: str = MODEL) -> tuple[int, dict[str, dict[str, str]]]:
    """What it ends with, and its findings by their checks."""
    done = CliRunner().invoke(app, ["--json", "--model", model, *arguments])
    found = json.loads(done.output)
    assert found["target"] == "databricks"
    assert found["ok"] is (done.exit_code == 0)
    return done.exit_code, {finding["check"]: finding for finding in found["findings"]}


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


def no_host(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.delenv("DATABRICKS_HOST")
    env.setenv("DATABRICKS_CONFIG_PROFILE", "wine")


def nobody_there(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("DATABRICKS_HOST", f"http://127.0.0.1:{free_port()}")


def expired(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("DATABRICKS_TOKEN", there.expired_token)


def person_in_a_pipeline(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("DATABRICKS_TOKEN", there.person_token)
    env.setenv("TF_BUILD", "True")


def other_pipeline(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.delenv("DATABRICKS_TOKEN")
    for name, value in there.azure_devops_environment().items():
        env.setenv(name, value)
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-devops-oidc")
    env.setenv("DATABRICKS_CLIENT_ID", there.client_id)
    env.setattr(there.identity.pipeline, "name", "other")


def slow_clock(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setattr(workspace, "_now", lambda: time.time() - 3600)


def wrong_setting(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("WORKSHOP_DATABRICKS_HOME", "/tmp")


def no_place_for_tables(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.delenv("WORKSHOP_DATABRICKS_HOME")
    env.delenv("WORKSHOP_TABLES")


def no_such_cluster(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.clusters.clear()


def forbidden_cluster(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.clusters["0923-1"]["permitted"] = False


def broken_cluster(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.clusters["0923-1"]["state"] = "ERROR"


def dirty_checkout(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("WORKSHOP_GIT_COMMIT", f"{COMMIT}-dirty")


def git(*arguments: str) -> str:
    """Run Git in the repository that stands for the checkout."""
    done = subprocess.run(
        ["git", "-C", str(upload._CHECKOUT), *arguments], capture_output=True, text=True, check=True, input=""
    )
    return done.stdout.strip()


def commit_not_pushed(there: Workspace, env: pytest.MonkeyPatch) -> None:
    """A commit in a repository of its own, which Git takes for the checkout's."""
    repository = there.root.parent / "repository"
    repository.mkdir(exist_ok=True)
    env.setattr(upload, "_CHECKOUT", repository)
    for role in ("AUTHOR", "COMMITTER"):
        env.setenv(f"GIT_{role}_NAME", "Ada")
        env.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    git("init", "--quiet", "--bare")
    env.setenv("WORKSHOP_GIT_COMMIT", git("commit-tree", "-m", "First", git("mktree")))
    env.setenv("WORKSHOP_DATABRICKS_CODE", "git")
    env.setenv("WORKSHOP_DATABRICKS_GIT_URL", "https://dev.azure.com/our-organization/workshop/_git/workshop")


def commit_pushed(there: Workspace, env: pytest.MonkeyPatch) -> None:
    commit_not_pushed(there, env)
    git("update-ref", "refs/remotes/origin/main", os.environ["WORKSHOP_GIT_COMMIT"])


def no_git_credential(there: Workspace, env: pytest.MonkeyPatch) -> None:
    commit_pushed(there, env)
    there.git_credentials.clear()


def forbidden_folder(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("WORKSHOP_DATABRICKS_FOLDER", "/Workspace/Shared/theirs")
    there.forbidden_folders.add("/Workspace/Shared/theirs")


def forbidden_experiments(there: Workspace, env: pytest.MonkeyPatch) -> None:
    env.setenv("WORKSHOP_EXPERIMENTS", "/Shared/theirs")
    there.forbidden_folders.add("/Workspace/Shared/theirs")


def no_such_catalog(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants.clear()


def catalog_without_rights(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("CATALOG", "main")] = set()


def schema_without_rights(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("SCHEMA", "main.workshop")].discard("USE_SCHEMA")


def volume_read_only(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("SCHEMA", "main.workshop")].discard("WRITE_VOLUME")


def no_such_volume(there: Workspace, env: pytest.MonkeyPatch) -> None:
    del there.grants[("VOLUME", "main.workshop.files")]


def no_new_tables(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("SCHEMA", "main.workshop")] -= {"MODIFY", "CREATE_TABLE"}


def no_right_to_register(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("SCHEMA", "main.workshop")].discard("CREATE_MODEL")


def somebody_elses_model(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.grants[("MODEL", MODEL)] = {"EXECUTE"}


def failing_service(there: Workspace, env: pytest.MonkeyPatch) -> None:
    there.fail_next("workspace/mkdirs", status=500, message="out of order")


@pytest.mark.parametrize(
    ("break_it", "check", "words"),
    [
        (no_host, "sign-in", ["DATABRICKS_CONFIG_PROFILE is wine, and there is no"]),
        (nobody_there, "sign-in", ["does not answer", "correct DATABRICKS_HOST"]),
        (expired, "sign-in", ["have expired", "make a new token"]),
        (
            other_pipeline,
            "sign-in",
            [
                "does not accept this pipeline",
                "subject p://our-organization/workshop/other",
                "issuer https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6",
                "databricks account service-principal-federation-policy create",
            ],
        ),
        (person_in_a_pipeline, "service principal", ["Ada Lovelace is a person", "signs in as a service principal"]),
        (slow_clock, "clock", ["60 minutes slow", "set it"]),
        (wrong_setting, "settings", ["WORKSHOP_DATABRICKS_HOME is '/tmp'", "/Volumes/catalog/schema/volume"]),
        (
            no_place_for_tables,
            "settings",
            ["No location is configured", "WORKSHOP_DATABRICKS_HOME", "WORKSHOP_TABLES"],
        ),
        (no_such_cluster, "compute", ["there is no cluster 0923-1", "WORKSHOP_DATABRICKS_CLUSTER_ID"]),
        (forbidden_cluster, "compute", ["workshop-cd may not use the cluster 0923-1", "for CAN RESTART"]),
        (broken_cluster, "compute", ["the cluster shared is in the state ERROR", "take another"]),
        (dirty_checkout, "code", ["Files differ from the commit", "git commit"]),
        (commit_not_pushed, "code", ["on no remote branch", "git push"]),
        (no_git_credential, "code", ["has no Git credential for azureDevOpsServices", "CODE=upload"]),
        (forbidden_folder, "workspace folder", ["may not write to /Workspace/Shared/theirs", "DATABRICKS_FOLDER to"]),
        (forbidden_experiments, "experiments", ["may not write to /Shared/theirs", "WORKSHOP_EXPERIMENTS to"]),
        (no_such_catalog, "catalog", ["there is no catalog main", "GRANT USE CATALOG ON CATALOG main TO `6c9f047b-"]),
        (
            catalog_without_rights,
            "catalog",
            ["does not have USE CATALOG", "GRANT USE CATALOG ON CATALOG main TO `6c9f047b-"],
        ),
        (
            schema_without_rights,
            "schema",
            ["does not have USE SCHEMA", "GRANT USE SCHEMA ON SCHEMA main.workshop TO `6c9f"],
        ),
        (
            volume_read_only,
            "volume",
            ["does not have WRITE VOLUME", "GRANT WRITE VOLUME ON VOLUME main.workshop.files TO `6c"],
        ),
        (no_such_volume, "volume", ["there is no volume main.workshop.files", "correct the name"]),
        (
            no_new_tables,
            "tables",
            ["does not have MODIFY, CREATE TABLE", "GRANT MODIFY, CREATE TABLE ON SCHEMA main"],
        ),
        (
            no_right_to_register,
            "model",
            ["does not have CREATE MODEL", "GRANT CREATE MODEL ON SCHEMA main.workshop TO `6c9"],
        ),
        (somebody_elses_model, "model", ["belongs to platform-team", "let platform-team give workshop-cd MANAGE"]),
        (failing_service, "workspace folder", ["the service itself has failed: out of order", "run it again"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_broken_is_named_with_what_to_do(
    break_it: Break, check: str, words: list[str], good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(good, monkeypatch)
    code, findings = doctor()
    assert code == 1
    assert findings[check]["mark"] == "fails", findings
    text = findings[check]["text"]
    assert [word for word in words if word not in text] == [], text
    assert "\n" not in text and text.endswith(".") and "`workshop doctor`" not in text
    fails = [name for name, finding in findings.items() if finding["mark"] == "fails"]
    # A catalog that is not there has no models either.
    assert fails == ([check, "model"] if check in ("catalog", "schema") else [check])
    assert [secret for secret in good.secrets if secret in json.dumps(findings)] == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 500}, "could not read the rights on the catalog main, the service itself has failed"),
        ({"status": 429}, "it defers each call (429)"),
        ({"status": 401}, "it does not accept the credentials"),
        ({"drop": True}, "does not answer: correct DATABRICKS_HOST"),
    ],
)
def test_rights_that_cannot_be_read_fail_their_own_lines(
    fault: dict[str, Any], words: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: None)
    good.fail_next("effective-permissions", times=100_000, **fault)
    code, findings = doctor()
    assert code == 1
    assert tuple(findings) == CHECKS
    assert {name: finding["mark"] for name, finding in findings.items() if finding["mark"] != "holds"} == {
        **{"catalog": "fails", "model": "fails"},
        **dict.fromkeys(["schema", "volume", "tables", "wines"], "not checked"),
    }
    assert words in findings["catalog"]["text"]
    assert "Config: " not in json.dumps(findings) and "DATABRICKS_TOKEN" not in json.dumps(findings)


def test_an_answer_of_another_shape_fails_one_line(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.ClustersAPI, "get", lambda *_: [])
    code, findings = doctor()
    assert (code, tuple(findings)) == (1, CHECKS)
    assert [name for name, finding in findings.items() if finding["mark"] != "holds"] == ["compute"]
    assert "the answer is not one of Databricks" in findings["compute"]["text"]


@pytest.mark.parametrize("missing", ["sign-in", "settings"])
def test_what_stands_on_something_broken_is_not_checked(
    missing: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expired if missing == "sign-in" else wrong_setting)(good, monkeypatch)
    _, findings = doctor()
    unchecked = [name for name, finding in findings.items() if finding["mark"] == "not checked"]
    on_both = list(CHECKS[CHECKS.index("compute") :])
    assert unchecked == (["service principal", *on_both] if missing == "sign-in" else on_both)
    assert {findings[name]["text"] for name in unchecked} == {f"not checked, as long as {missing} does not hold"}


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


def test_what_of_unity_catalog_is_used_is_looked_at(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKSHOP_DATABRICKS_HOME")
    good.grants[("SCHEMA", "main.models")] = {"USE_SCHEMA", "CREATE_MODEL"}
    code, findings = doctor(model="main.models.wine_quality")
    assert (code, findings["volume"]["mark"]) == (0, "note")
    assert findings["schema"]["text"] == "USE SCHEMA on main.models, main.workshop"


@pytest.mark.parametrize(
    ("there", "mark", "said"),
    [
        (["development", "production"], "holds", "the tables development and production are there"),
        (["development"], "note", "there is no table production yet: make them once, with `workshop run"),
        ([], "note", "there is no table development or production yet: make them once, with `workshop run"),
    ],
)
def test_wines_in_the_volume_are_looked_for(
    there: list[str], mark: str, said: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORKSHOP_TABLES")
    for name in there:
        (good.root / f"{good.home}/wine/data/{name}/_delta_log".lstrip("/")).mkdir(parents=True)
    code, findings = doctor()
    assert (code, findings["wines"]["mark"]) == (0, mark)
    assert findings["wines"]["text"].startswith(said)


def test_a_404_of_something_else_than_the_service_is_not_taken_for_an_answer(good: Workspace) -> None:
    good.fail_next("unity-catalog/tables/", status=404, error_code="ENDPOINT_NOT_FOUND")
    code, findings = doctor()
    assert (code, findings["wines"]["mark"]) == (1, "fails")


def test_a_name_with_one_dot_is_not_a_model_name(good: Workspace) -> None:
    code, findings = doctor(model="workshop.wine_quality")
    assert (code, findings["model"]["mark"]) == (1, "fails")
    assert "a name for neither registry" in findings["model"]["text"]


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


def test_a_model_that_is_there_may_be_managed(good: Workspace) -> None:
    good.grants[("MODEL", MODEL)] = {"MANAGE", "EXECUTE"}
    code, findings = doctor()
    assert (code, findings["model"]["text"]) == (0, f"{MODEL} can be registered, loaded and aliased")


def test_all_privileges_are_enough_for_all_but_managing(good: Workspace) -> None:
    good.grants.update({("CATALOG", "main"): {"ALL_PRIVILEGES"}, ("SCHEMA", "main.workshop"): set()})
    assert doctor()[0] == 0
    good.grants[("MODEL", MODEL)] = set()
    assert doctor()[1]["model"]["mark"] == "fails"


@pytest.mark.parametrize(
    ("level", "mark"),
    [
        (ml.PermissionLevel.CAN_MANAGE, "holds"),
        (ml.PermissionLevel.CAN_MANAGE_PRODUCTION_VERSIONS, "holds"),
        (ml.PermissionLevel.CAN_MANAGE_STAGING_VERSIONS, "fails"),
        (ml.PermissionLevel.CAN_READ, "fails"),
    ],
)
def test_a_model_of_the_workspaces_own_registry_takes_the_right_to_move_stages(
    level: ml.PermissionLevel, mark: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(api: object, name: str) -> Any:
        return SimpleNamespace(registered_model_databricks=ml.ModelDatabricks(name=name, permission_level=level))

    monkeypatch.setattr(ml.ModelRegistryAPI, "get_model", known)
    _, findings = doctor(model="wine_quality")
    assert findings["model"]["mark"] == mark
    assert mark == "holds" or "moving stages needs CAN MANAGE" in findings["model"]["text"]


def test_the_host_in_the_environment_chooses_what_is_looked_at(good: Workspace) -> None:
    assert tuple(doctor()[1]) == CHECKS
    assert tuple(doctor("--target", "databricks")[1]) == CHECKS


def test_without_the_sdk_nothing_else_is_looked_at(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, findings = doctor()
    assert code == 1
    assert list(findings) == ["databricks-sdk"]
    assert "pip install" in findings["databricks-sdk"]["text"]
