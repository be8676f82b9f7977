"""Workspace files over the SDK."""

import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.workspace import ImportFormat, ObjectType

from databricks_local.workspace import Workspace
from tests.support.workspace_client import FOLDER, client_of, notebook_of


def test_workspace_files(workspace: Workspace) -> None:
    files = client_of(workspace).workspace
    files.mkdirs(f"{FOLDER}/code")
    files.upload(f"{FOLDER}/code/one.ipynb", notebook_of("1"), format=ImportFormat.AUTO)
    files.upload("/Shared/workshop/code/two.whl", b"\r\n--wheel\r\n", format=ImportFormat.AUTO)
    listed = {each.path: each.object_type for each in files.list(f"{FOLDER}/code")}
    assert listed == {f"{FOLDER}/code/one": ObjectType.NOTEBOOK, f"{FOLDER}/code/two.whl": ObjectType.FILE}
    assert (workspace.root / "Workspace/Shared/workshop/code/two.whl").read_bytes() == b"\r\n--wheel\r\n"

    with pytest.raises(ResourceAlreadyExists):
        files.upload(f"{FOLDER}/code/one", notebook_of("2"), format=ImportFormat.JUPYTER)
    with pytest.raises(BadRequest, match="is not empty"):
        files.delete(FOLDER)
    files.delete(FOLDER, recursive=True)
    with pytest.raises(ResourceDoesNotExist):
        files.get_status(f"{FOLDER}/code/one")


def test_workspace_files_that_are_refused(workspace: Workspace) -> None:
    files = client_of(workspace).workspace
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
