"""Each way to sign in, over real HTTP; and each refusal, in one sentence without a secret."""

import logging
import os
import stat
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk.service.iam import User

from databricks_local import workspace as stand_in
from databricks_local.mlflow_server import free_port
from databricks_local.workspace import Workspace
from tests.support.sign_in import SetUp, by_azure_cli, by_federation, by_profile, by_secret, by_token, write_profile
from workshop.core.errors import WorkshopError
from workshop.databricks.sign_in import Identity, require_service_principal, sign_in, who


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with stand_in.running(tmp_path_factory.mktemp("workspace")) as workspace:
        yield workspace


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the environment or the home folder, and no `az`."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_", "TF_BUILD"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def workspace(shared: Workspace, no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DATABRICKS_HOST", shared.host)
    return shared


@pytest.mark.parametrize(
    ("set_up", "auth_type"),
    [
        (by_token, "pat"),
        (by_secret, "oauth-m2m"),
        (by_azure_cli, "azure-cli"),
        (by_federation, "azure-devops-oidc"),
        (by_profile, "pat"),
    ],
)
def test_each_way_to_sign_in_leads_to_the_service_principal_and_logs_no_secret(
    set_up: SetUp,
    auth_type: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="databricks.sdk")
    set_up(workspace, monkeypatch, tmp_path)
    client = sign_in(retry_seconds=60)
    assert client.config.auth_type == auth_type
    assert client.config.retry_timeout_seconds == 60
    assert who(client) == Identity("workshop-cd", workspace.client_id, True)
    assert "scim/v2/Me" in caplog.text  # the log is on
    assert [secret for secret in workspace.secrets if secret in caplog.text] == []


def test_a_call_to_a_busy_service_is_repeated_and_then_reported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_token(workspace, monkeypatch, tmp_path)
    workspace.fail_next("scim/v2/Me", status=429, error_code="REQUEST_LIMIT_EXCEEDED", headers={"Retry-After": "0"})
    assert who(sign_in(retry_seconds=5)).is_service_principal
    workspace.fail_next("scim/v2/Me", status=500, error_code="INTERNAL_ERROR", message="out of order")
    with pytest.raises(WorkshopError, match=r"could not sign in, the service itself has failed: out of order; run it"):
        sign_in(retry_seconds=1)


def install_az(folder: Path, script: str) -> None:
    """An Azure CLI that does what the script does."""
    program = folder / "bin" / "az"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def set_variables(sign_in_by: SetUp | None = None, **variables: str | None) -> SetUp:
    """Return a set-up that signs in by one way, and then sets these variables or, for None, removes them."""

    def set_up(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
        if sign_in_by is not None:
            sign_in_by(workspace, env, folder)
        for name, value in variables.items():
            if value is None:
                env.delenv(name)
            else:
                env.setenv(name, value.format(workspace=workspace, free_port=free_port()))

    return set_up


def by_a_profile_of(text: str) -> SetUp:
    def set_up(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
        by_profile(workspace, env, folder)
        write_profile(folder, text.format(workspace=workspace))

    return set_up


def by_an_az_that(script: str) -> SetUp:
    def set_up(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
        by_azure_cli(workspace, env, folder)
        install_az(folder, script)

    return set_up


def az_for_another_cloud(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    install_az(folder, "exit 1")
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")


def another_pipeline(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.setattr(workspace.identity.pipeline, "name", "another")


def no_policy(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.setattr(workspace.identity, "federation_policy", None)


AZURE = "adb-1.2.azuredatabricks.net"


REFUSALS: dict[str, tuple[SetUp, list[str]]] = {
    "no host": (set_variables(DATABRICKS_HOST=None), ["No workspace is configured", "set DATABRICKS_HOST"]),
    "clear text": (set_variables(by_token, DATABRICKS_HOST=f"http://{AZURE}"), ["clear text", f"set https://{AZURE}"]),
    "the browser's address": (
        set_variables(DATABRICKS_HOST=f"https://{AZURE}/?o=1#job/list"),
        ["more than the host", f"set https://{AZURE}."],
    ),
    "password in the host": (
        set_variables(DATABRICKS_HOST=f"https://token:{{workspace.token}}@{AZURE}"),
        ["a user name or a password in it"],
    ),
    "clear text in a profile": (
        by_a_profile_of("[wine]\nhost = http://wine.invalid\ntoken = {workspace.token}\n"),
        ["clear text", "set https://wine.invalid"],
    ),
    "no answer": (
        set_variables(by_token, DATABRICKS_HOST="http://127.0.0.1:{free_port}"),
        ["127.0.0.1", "does not answer", "correct DATABRICKS_HOST"],
    ),
    "expired token": (
        set_variables(DATABRICKS_TOKEN="{workspace.expired_token}"),
        ["have expired", "make a new token"],
    ),
    "unknown token": (
        set_variables(DATABRICKS_TOKEN="dapi0123456789abcdef0123456789abcdef"),
        ["does not accept these credentials", "another workspace's", "make a new token"],
    ),
    "no credential": (set_variables(), ["There are no credentials for http://127.0.0.1", "run `az login`"]),
    "no credential in a pipeline": (
        set_variables(TF_BUILD="True"),
        ["There are no credentials", "AzureCLI@2", "SYSTEM_ACCESSTOKEN"],
    ),
    "no az": (set_variables(DATABRICKS_AUTH_TYPE="azure-cli"), ["there is no `az` here", "install the Azure CLI"]),
    "az without login": (by_an_az_that("echo ERROR >&2; exit 1"), ["`az` gives no token", "run `az login`"]),
    "az without JSON": (by_an_az_that("echo no JSON"), ["could not sign in with azure-cli: Expecting value"]),
    "az for another cloud": (az_for_another_cloud, ["is not an Azure address", "correct DATABRICKS_HOST"]),
    "wrong secret": (
        set_variables(by_secret, DATABRICKS_CLIENT_SECRET="dose0123456789abcdef0123456789abcdef"),
        ["does not accept the client secret", "6c9f047b", "DATABRICKS_CLIENT_SECRET"],
    ),
    "no secret": (
        set_variables(DATABRICKS_AUTH_TYPE="oauth-m2m"),
        ["oauth-m2m", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"],
    ),
    "another pipeline": (another_pipeline, ["does not accept this pipeline", "workshop doctor --federation"]),
    "no policy": (no_policy, ["does not accept this pipeline", "No federation policy"]),
    "no access token": (
        set_variables(by_federation, SYSTEM_ACCESSTOKEN=None),
        ["SYSTEM_ACCESSTOKEN: $(System.AccessToken)"],
    ),
    "no job": (set_variables(by_federation, SYSTEM_PLANID=None), ["SYSTEM_PLANID is not set"]),
    "another job's access token": (
        set_variables(by_federation, SYSTEM_ACCESSTOKEN="of-another-job-altogether"),
        ["no identity token", "$(System.AccessToken) of this job"],
    ),
    "no client id": (set_variables(by_federation, DATABRICKS_CLIENT_ID=None), ["set DATABRICKS_CLIENT_ID"]),
    "no such profile": (
        set_variables(by_profile, DATABRICKS_CONFIG_PROFILE="beer"),
        ["There is no profile beer in", "DATABRICKS_CONFIG_PROFILE"],
    ),
    "no file of profiles": (
        set_variables(DATABRICKS_HOST=None, DATABRICKS_CONFIG_PROFILE="wine"),
        ["DATABRICKS_CONFIG_PROFILE is wine, and there is no ~/.databrickscfg"],
    ),
    "damaged profile": (
        by_a_profile_of("[wine]\ntoken {workspace.token}\n"),
        ["The profiles in ~/.databrickscfg can't be read"],
    ),
    "two kinds": (
        set_variables(by_secret, DATABRICKS_TOKEN="{workspace.token}"),
        ["more than one kind (oauth and pat)", "DATABRICKS_AUTH_TYPE"],
    ),
    "unknown kind": (
        set_variables(by_token, DATABRICKS_AUTH_TYPE="telepathy"),
        ["DATABRICKS_AUTH_TYPE is telepathy"],
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_sign_in_is_one_sentence_without_a_secret(
    refusal: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="databricks.sdk")
    set_up, words = REFUSALS[refusal]
    set_up(workspace, monkeypatch, tmp_path)
    started = time.monotonic()
    with pytest.raises(WorkshopError) as refused:
        sign_in(retry_seconds=1)
    message = str(refused.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message and message.endswith(".") and "Config:" not in message
    shown = message + "".join(traceback.format_exception(refused.value)) + caplog.text
    given = [
        os.environ.get(name, "") for name in ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "SYSTEM_ACCESSTOKEN")
    ]
    assert [secret for secret in [*workspace.secrets, *given] if secret and secret in shown] == []
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("page", [404, 200, 503])
def test_a_server_that_is_not_a_workspace_is_refused(
    page: int, no_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(page)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body>Welcome to nginx</body></html>")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("DATABRICKS_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0123456789abcdef0123456789abcdef")
        with pytest.raises(WorkshopError) as refused:
            sign_in(retry_seconds=1)
        server.shutdown()
    expected = "answers with error 503" if page == 503 else "Databricks workspace"
    assert expected in str(refused.value)
    assert "likely a bug" not in str(refused.value) and "dapi" not in str(refused.value)


def test_a_workspace_that_returns_no_user_is_one_sentence() -> None:
    client: Any = SimpleNamespace(current_user=SimpleNamespace(me=User))
    with pytest.raises(WorkshopError, match="does not return the signed-in user: correct DATABRICKS_HOST"):
        who(client)


def test_a_person_is_recognized_and_refused_in_a_pipeline(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.person_token)
    identity = who(sign_in(retry_seconds=1))
    assert identity == Identity("Ada Lovelace", "", False, "ada@example.com")
    assert require_service_principal(identity).startswith("Ada Lovelace is a person: that is fine at a terminal")
    monkeypatch.setenv("TF_BUILD", "True")
    with pytest.raises(WorkshopError, match="Ada Lovelace is a person, and a pipeline signs in as a service principal"):
        require_service_principal(identity)
    assert require_service_principal(Identity("cd", "6c9f047b-87dc-4b15-99ce-2f5b0f1c9a11", True)) == ""
