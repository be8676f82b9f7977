"""Experiments, runs, logged models and the workspace's own registry of models.

The `mlflow server` answers all calls not listed here. Where the rules are from: an experiment's name
is a path, and its folder exists (the service's messages, quoted in public threads); no aliases, names without `/`, `.`
and `:` (Databricks' documentation on the workspace registry); list-artifacts and get-signed-download-uri (MLflow,
`DatabricksModelsArtifactRepository`).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from databricks_local.answers import Answer, Refused, Request, as_json, invalid
from databricks_local.mlflow_backend import MLFLOW, MlflowBackend
from databricks_local.model_files import file_content

SIGNED = "/api/2.0/mlflow-artifacts/signed"


class WorkspaceRegistry:
    """Translates the client's requests for a `mlflow server`."""

    def __init__(self, backend: MlflowBackend, folder_exists: Callable[[str], bool]) -> None:
        self._backend = backend
        self._folder_exists = folder_exists

    def answer(self, request: Request) -> Answer:
        """Answer a call of MLflow's REST API that is not about Unity Catalog."""
        name = request.path.removeprefix(MLFLOW).removeprefix("databricks/")
        content_type = request.headers.get("content-type", "")
        is_json = content_type.startswith("application/json")
        given: dict[str, Any] = json.loads(request.body) if request.body and is_json else {}
        if name in ("experiments/create", "experiments/update"):
            self._require_workspace_path(given.get("name") or given.get("new_name") or "")
        if name == "registered-models/alias":
            raise Refused(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path[8:]}'")
        if name == "registered-models/create":
            _require_plain_name(given.get("name") or "")
        if request.path.endswith("/databricks/registered-models/get"):
            asked = {"name": request.query.get("name", "")}
            found = self._backend.call("GET", "registered-models/get", asked)["registered_model"]
            described = {"name": found["name"], "id": found["name"], "permission_level": "CAN_MANAGE"}
            return as_json({"registered_model_databricks": described})
        if name == "model-versions/list-artifacts":
            return self._list_artifacts(request)
        if name == "model-versions/get-signed-download-uri":
            address = f"http://{request.headers['host']}{SIGNED}?{urlencode(request.query)}"
            return as_json({"signed_uri": address, "headers": []})
        body = _version_to_create(given) if name == "model-versions/create" else request.body
        return self._backend.forward(request.method, request.target, body, content_type)

    def download(self, request: Request) -> Answer:
        """Return a file of a version, whose address is the credential."""
        return file_content(self._version_folder(request) / request.query["path"])

    def _require_workspace_path(self, name: str) -> None:
        if not name.startswith("/"):
            raise invalid(
                f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within the "
                "Databricks workspace, e.g. '/Users/<some-username>/my-experiment'."
            )
        parent = name.rpartition("/")[0]
        if parent and not self._folder_exists(parent):
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Parent directory {parent} does not exist.")

    def _list_artifacts(self, request: Request) -> Answer:
        root = self._version_folder(request)
        place = root / request.query.get("path", "")
        if not place.exists():
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"No artifact at {request.query.get('path')}")
        entries = sorted(place.iterdir()) if place.is_dir() else [place]
        files = [
            {"path": each.relative_to(root).as_posix(), "is_dir": each.is_dir(), "file_size": each.stat().st_size}
            for each in entries
        ]
        return as_json({"root_uri": root.as_uri(), "files": files})

    def _version_folder(self, request: Request) -> Path:
        asked = {"name": request.query["name"], "version": request.query["version"]}
        uri = self._backend.call("GET", "model-versions/get-download-uri", asked)["artifact_uri"]
        if found := re.fullmatch(r"models:/(m-\w+)", uri):
            uri = self._backend.call("GET", f"logged-models/{found[1]}", {})["model"]["info"]["artifact_uri"]
        return Path(unquote(urlsplit(uri).path))


def _version_to_create(given: dict[str, Any]) -> bytes:
    given.pop("run_link", None)
    if model_id := given.get("model_id"):
        # The client sends the location of the files, which MLflow's own server does not accept.
        given["source"] = f"models:/{model_id}"
    return json.dumps(given).encode()


def _require_plain_name(name: str) -> None:
    if re.search(r"[/.:]", name):
        raise invalid(
            f"Invalid name: '{name}'. Registered model names must be non-empty UTF-8 strings and cannot contain "
            "forward slashes(/), periods(.), or colons(:)."
        )
