"""`workshop doctor` on a set-up with one thing broken at a time."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.clock import RealClock
from databricks.sdk.service import compute

from databricks_local.mlflow_server import free_port
from databricks_local.workspace import Workspace
from tests.support.doctor import CHECKS, COMMIT, MODEL, commit_not_pushed, commit_pushed, doctor
from workshop.doctor import workspace

Break = Callable[[Workspace, pytest.MonkeyPatch], None]


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
