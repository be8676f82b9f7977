"""Sign-in to the workspace: tokens, secrets, federation and the Azure CLI."""

import os
from pathlib import Path

import pytest
import requests

from databricks_local.azure_cli import write_az
from databricks_local.workspace import Workspace
from tests.support.workspace_client import client_of


def test_a_credential_identifies_the_caller(workspace: Workspace) -> None:
    assert client_of(workspace).current_user.me().user_name == workspace.client_id
    person = client_of(workspace, token=workspace.person_token).current_user.me()
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
    me = client_of(workspace, client_id=workspace.client_id, client_secret=workspace.client_secret).current_user.me()
    assert me.user_name == workspace.client_id
    with pytest.raises(ValueError, match="invalid_client: Client authentication failed"):
        client_of(workspace, client_id=workspace.client_id, client_secret="dose0").current_user.me()


def test_a_pipeline_signs_in_by_its_federation_policy(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspace.azure_devops_environment().items():
        monkeypatch.setenv(name, value)
    settings = {"client_id": workspace.client_id, "auth_type": "azure-devops-oidc"}
    assert client_of(workspace, **settings).current_user.me().user_name == workspace.client_id

    workspace.identity.pipeline.name = "another"
    with pytest.raises(ValueError, match="subject p://our-organization/workshop/another"):
        client_of(workspace, **settings).current_user.me()
    workspace.identity.federation_policy = None
    with pytest.raises(ValueError, match="No federation policy found"):
        client_of(workspace, **settings).current_user.me()


def test_the_azure_cli_signs_in(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_az(tmp_path / "bin", workspace)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    settings = {"host": workspace.azure_host, "auth_type": "azure-cli"}
    assert client_of(workspace, **settings).current_user.me().user_name == workspace.client_id
    write_az(tmp_path / "bin", workspace, signed_in=False)
    with pytest.raises(ValueError, match="cannot configure default credentials"):
        client_of(workspace, **settings)
