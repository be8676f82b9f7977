"""Faults, clusters and privileges of the workspace over real HTTP."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests
from databricks.sdk.errors import (
    NotFound,
    PermissionDenied,
    ResourceDoesNotExist,
    Unauthenticated,
)

from databricks_local.answers import Request
from databricks_local.workspace import Workspace
from tests.support.workspace_client import client_of, post, submit, task


def test_clusters(workspace: Workspace) -> None:
    clusters = client_of(workspace).clusters
    assert str(clusters.get("ours").state) == "State.TERMINATED"
    with pytest.raises(PermissionDenied):
        clusters.get("theirs")
    with pytest.raises(ResourceDoesNotExist):
        clusters.get("ghost")


def test_the_creator_of_a_model_owns_it(workspace: Workspace) -> None:
    path = "/api/2.0/mlflow/unity-catalog/registered-models/create"
    body = b'{"name": "main.workshop.wine"}'
    workspace.catalog.allow(Request("POST", path, path, {}, {}, body, workspace.identity.service_principal))
    workspace.catalog.has_model = lambda name: True
    assert client_of(workspace).registered_models.get("main.workshop.wine").owner == workspace.client_id
    assert client_of(workspace).registered_models.get("main.workshop.other").owner == "platform-team"


def test_privileges_in_the_catalog(workspace: Workspace) -> None:
    client = client_of(workspace)
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
        client_of(workspace).current_user.me()
    workspace.hold("one")
    workspace.fail_next("runs/submit", drop=True, processed=True)
    with pytest.raises(requests.ConnectionError):
        submit(workspace, task("one"), idempotency_token="once")
    assert list(workspace.runs) == [submit(workspace, task("one"), idempotency_token="once")]
    assert "ENDPOINT_NOT_FOUND" in post(workspace, "/api/2.2/jobs/ghost", {}).text
    assert workspace.unknown == ["POST /api/2.2/jobs/ghost"]
