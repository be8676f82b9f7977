"""Signing in over real HTTP, in each way that there is; and each refusal, with a sentence and without a secret."""

import logging
import os
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from databricks.sdk import environments
from databricks.sdk.errors import (
    BadRequest,
    InternalError,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
)
from databricks.sdk.service.iam import User

from databricks_local import workspace as stand_in
from databricks_local.azure_cli import write_az
from databricks_local.mlflow_server import free_port
from workshop.core.errors import WorkshopError
from workshop.databricks.errors import explained, without_secrets
from workshop.databricks.sign_in import Identity, require_service_principal, sign_in, who

Workspace = stand_in.Workspace
SetUp = Callable[[Workspace, pytest.MonkeyPatch, Path], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with stand_in.running(tmp_path_factory.mktemp("workspace")) as workspace:
        yield workspace


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the environment, nothing in the person's home, and no `az`."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "SYSTEM_", "TF_BUILD"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def workspace(shared: Workspace, nobody: None, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DATABRICKS_HOST", shared.host)
    return shared


def by_token(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_TOKEN", workspace.token)


def by_secret(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    env.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)


def by_azure_cli(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    write_az(folder / "bin", workspace)
    as_an_azure_address(workspace.host, env)
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")


def by_federation(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    for name, value in workspace.azure_devops_environment().items():
        env.setenv(name, value)
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-devops-oidc")
    env.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)


def by_profile(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.delenv("DATABRICKS_HOST")
    write_profile(folder, f"[wine]\nhost = {workspace.host}\ntoken = {workspace.token}\n")
    env.setenv("DATABRICKS_CONFIG_PROFILE", "wine")


def install_az(folder: Path, script: str) -> None:
    """An Azure CLI that does what the script does."""
    program = folder / "bin" / "az"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def as_an_azure_address(host: str, env: pytest.MonkeyPatch) -> None:
    """The SDK knows Azure by the end of the host's name, and asks `az` for nothing anywhere else."""
    azure = environments.DatabricksEnvironment(
        environments.Cloud.AZURE,
        host.removeprefix("http://127.0.0.1"),
        azure_application_id=environments.ARM_DATABRICKS_RESOURCE_ID,
        azure_environment=environments.ENVIRONMENTS["PUBLIC"],
    )
    env.setattr(environments, "ALL_ENVS", [azure, *environments.ALL_ENVS])


def write_profile(folder: Path, text: str) -> None:
    (folder / ".databrickscfg").write_text(text, encoding="utf-8")


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


def no_host(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.delenv("DATABRICKS_HOST")


def clear_text(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_HOST", "http://adb-1.2.azuredatabricks.net")
    by_token(workspace, env, folder)


def address_of_the_browser(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_HOST", "https://adb-1.2.azuredatabricks.net/?o=1#job/list")


def password_in_the_host(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_HOST", f"https://token:{workspace.token}@adb-1.2.azuredatabricks.net")


def clear_text_in_a_profile(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_profile(workspace, env, folder)
    write_profile(folder, f"[wine]\nhost = http://wine.invalid\ntoken = {workspace.token}\n")


def nobody_there(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_HOST", f"http://127.0.0.1:{free_port()}")
    by_token(workspace, env, folder)


def expired(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_TOKEN", workspace.expired_token)


def foreign(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_TOKEN", "dapi0123456789abcdef0123456789abcdef")


def no_credential(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    pass


def no_credential_in_a_pipeline(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("TF_BUILD", "True")


def no_az(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")


def az_without_login(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_azure_cli(workspace, env, folder)
    install_az(folder, "echo 'ERROR: Please run az login to setup account.' >&2; exit 1")


def az_that_stammers(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_azure_cli(workspace, env, folder)
    install_az(folder, "echo no JSON")


def az_for_another_cloud(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    install_az(folder, "exit 1")
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")


def wrong_secret(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_secret(workspace, env, folder)
    env.setenv("DATABRICKS_CLIENT_SECRET", "dose0123456789abcdef0123456789abcdef")


def no_secret(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.setenv("DATABRICKS_AUTH_TYPE", "oauth-m2m")


def other_pipeline(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.setattr(workspace.identity.pipeline, "name", "somebody-else's")


def no_policy(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.setattr(workspace.identity, "federation_policy", None)


def no_access_token(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.delenv("SYSTEM_ACCESSTOKEN")


def no_job(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.delenv("SYSTEM_PLANID")


def anothers_access_token(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.setenv("SYSTEM_ACCESSTOKEN", "of-another-job-altogether")


def no_client_id(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_federation(workspace, env, folder)
    env.delenv("DATABRICKS_CLIENT_ID")


def no_such_profile(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_profile(workspace, env, folder)
    env.setenv("DATABRICKS_CONFIG_PROFILE", "beer")


def no_profile_file(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    env.delenv("DATABRICKS_HOST")
    env.setenv("DATABRICKS_CONFIG_PROFILE", "wine")


def damaged_profile(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_profile(workspace, env, folder)
    write_profile(folder, f"[wine]\ntoken {workspace.token}\n")


def two_kinds(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_token(workspace, env, folder)
    by_secret(workspace, env, folder)


def unknown_kind(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    by_token(workspace, env, folder)
    env.setenv("DATABRICKS_AUTH_TYPE", "telepathy")


@pytest.mark.parametrize(
    ("set_up", "words"),
    [
        (no_host, ["Nothing says which workspace is meant", "set DATABRICKS_HOST"]),
        (clear_text, ["clear text", "set https://adb-1.2.azuredatabricks.net"]),
        (address_of_the_browser, ["more than the host", "set https://adb-1.2.azuredatabricks.net."]),
        (password_in_the_host, ["a user name or a password in it"]),
        (clear_text_in_a_profile, ["clear text", "set https://wine.invalid"]),
        (nobody_there, ["127.0.0.1", "does not answer", "correct DATABRICKS_HOST"]),
        (expired, ["have expired", "make a new token"]),
        (foreign, ["does not know these credentials", "another workspace's", "make a new token"]),
        (no_credential, ["There are no credentials for http://127.0.0.1", "run `az login`"]),
        (no_credential_in_a_pipeline, ["There are no credentials", "AzureCLI@2", "SYSTEM_ACCESSTOKEN"]),
        (no_az, ["there is no `az` here", "install the Azure CLI"]),
        (az_without_login, ["`az` gives no token", "run `az login`"]),
        (az_that_stammers, ["could not sign in with azure-cli: Expecting value"]),
        (az_for_another_cloud, ["is no Azure address", "correct DATABRICKS_HOST"]),
        (wrong_secret, ["does not accept the client secret", "6c9f047b", "DATABRICKS_CLIENT_SECRET"]),
        (no_secret, ["oauth-m2m", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"]),
        (other_pipeline, ["does not accept this pipeline", "workshop doctor --federation"]),
        (no_policy, ["does not accept this pipeline", "No federation policy", "workshop doctor --federation"]),
        (no_access_token, ["SYSTEM_ACCESSTOKEN: $(System.AccessToken)"]),
        (no_job, ["SYSTEM_PLANID is not set"]),
        (anothers_access_token, ["no identity token", "$(System.AccessToken) of this very job"]),
        (no_client_id, ["set DATABRICKS_CLIENT_ID"]),
        (no_such_profile, ["There is no profile beer in", "DATABRICKS_CONFIG_PROFILE"]),
        (no_profile_file, ["DATABRICKS_CONFIG_PROFILE is wine, and there is no ~/.databrickscfg"]),
        (damaged_profile, ["The profiles in ~/.databrickscfg can't be read"]),
        (two_kinds, ["more than one kind (oauth and pat)", "DATABRICKS_AUTH_TYPE"]),
        (unknown_kind, ["DATABRICKS_AUTH_TYPE is telepathy"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_stands_in_the_way_is_said_in_one_sentence_without_a_secret(
    set_up: SetUp,
    words: list[str],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="databricks.sdk")
    set_up(workspace, monkeypatch, tmp_path)
    started = time.monotonic()
    with pytest.raises(WorkshopError) as refused:
        sign_in(retry_seconds=1)
    said = str(refused.value)
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said and said.endswith(".") and "Config:" not in said and "Traceback" not in said
    shown = said + "".join(traceback.format_exception(refused.value)) + caplog.text
    given = [
        os.environ.get(name, "") for name in ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "SYSTEM_ACCESSTOKEN")
    ]
    assert [secret for secret in [*workspace.secrets, *given] if secret and secret in shown] == []
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("page", [404, 200, 503])
def test_a_server_that_is_no_workspace_is_said_to_be_none(
    page: int, nobody: None, monkeypatch: pytest.MonkeyPatch
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
    expected = "answers with error 503" if page == 503 else "no Databricks workspace"
    assert expected in str(refused.value)
    assert "likely a bug" not in str(refused.value) and "dapi" not in str(refused.value)


def test_a_service_that_is_busy_is_asked_again_and_then_reported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_token(workspace, monkeypatch, tmp_path)
    workspace.fail_next("scim/v2/Me", status=429, error_code="REQUEST_LIMIT_EXCEEDED", headers={"Retry-After": "0"})
    assert who(sign_in(retry_seconds=5)).is_service_principal
    workspace.fail_next("scim/v2/Me", status=500, error_code="INTERNAL_ERROR", message="out of order")
    with pytest.raises(WorkshopError, match=r"could not sign in, the service itself has failed: out of order; run it"):
        sign_in(retry_seconds=1)


def test_a_workspace_that_does_not_say_who_is_signed_in_is_one_sentence() -> None:
    client: Any = SimpleNamespace(current_user=SimpleNamespace(me=User))
    with pytest.raises(WorkshopError, match="does not say who is signed in: correct DATABRICKS_HOST"):
        who(client)


def test_a_person_is_known_as_one(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.person_token)
    identity = who(sign_in(retry_seconds=1))
    assert identity == Identity("Ada Lovelace", "", False, "ada@example.com")
    assert require_service_principal(identity).startswith("Ada Lovelace is a person: that is fine at a terminal")
    monkeypatch.setenv("TF_BUILD", "True")
    with pytest.raises(WorkshopError, match="Ada Lovelace is a person, and a pipeline signs in as a service principal"):
        require_service_principal(identity)


def test_a_service_principal_needs_no_note_in_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    assert require_service_principal(Identity("cd", "6c9f047b-87dc-4b15-99ce-2f5b0f1c9a11", True)) == ""


def raised_from(cause: BaseException) -> TimeoutError:
    error = TimeoutError("Timed out after 0:00:01")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Unauthenticated("no"), r"could not submit the run, it does not accept the credentials .*: no; sign in again"),
        (PermissionDenied("no"), r"does not let you submit the run: no; ask whoever administers"),
        (NotFound("no"), r"could not submit the run, it finds no such thing: no; correct the name"),
        (raised_from(TooManyRequests("no")), r"could not submit the run, it asks again and again .* \(429\)"),
        (
            TooManyRequests("no"),
            r"could not submit the run, too many requests reach it \(429\): no; run it again later",
        ),
        (InternalError("no"), r"could not submit the run, the service itself has failed: no; run it again"),
        (raised_from(InternalError("no")), r"could not submit the run, the service itself has failed: no; run it"),
        (
            BadRequest("no. Config: host=h, token=***. Env: DATABRICKS_HOST"),
            r"could not submit the run: no; correct what it names, and run it again\.$",
        ),
        (requests.ConnectionError("no"), r"could not submit the run, the workspace does not answer: correct"),
        (raised_from(requests.Timeout("no")), r"could not submit the run, the workspace does not answer: correct"),
        (requests.exceptions.SSLError("no"), r"certificate of the workspace .* set REQUESTS_CA_BUNDLE"),
        (requests.exceptions.ProxyError("no"), r"proxy that HTTPS_PROXY names does not let through"),
        (requests.exceptions.JSONDecodeError("no", "", 0), r"what answers is no Databricks workspace"),
        (TimeoutError("no"), r"could not submit the run, it took longer than this waits for: run it again"),
        (
            OSError("cannot get access token: no"),
            r"could not submit the run: cannot get access token: no; correct what it names",
        ),
        (FileNotFoundError(2, "No such file", "/a/b"), r"Cannot write or read at /a/b"),
        (ValueError("validate: no. Config: host=h"), r"could not submit the run: validate: no; correct what it names"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_by_kind(error: Exception, sentence: str) -> None:
    with pytest.raises(WorkshopError, match=sentence) as raised, explained("submit the run"):
        raise error
    assert "\n" not in str(raised.value) and "Config" not in str(raised.value)


def test_a_sentence_of_ours_stays_as_it_is() -> None:
    with pytest.raises(WorkshopError, match=r"^Ours\.$"), explained("submit the run"):
        raise WorkshopError("Ours.")


@pytest.mark.parametrize(
    "secret",
    [
        "dapi0123456789abcdef0123456789abcdef-2",
        "dose0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjZCJ9.c2lnbmF0dXJl",
        "a-value-of-the-environment",
    ],
)
def test_secrets_are_taken_out_of_any_text(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "a-value-of-the-environment")
    assert without_secrets(f"it says {secret}, and more") == "it says ***, and more"
