"""MLflow as Databricks has it: experiments at workspace paths, the workspace registry, and models in Unity Catalog.

Whatever is kept is kept by a real `mlflow server`, which must not hand out artifacts itself (`--no-serve-artifacts`, a
`file:` artifact root): MLflow refuses `mlflow-artifacts:` locations for a `databricks` tracking URI. This stands in
front of it, translates, and refuses what the service refuses.

What is not as on the service:

- Run artifacts are files of this machine; the service keeps them in its own storage, below `dbfs:/databricks`. MLflow
  believes that it has downloaded a copy when it registers a model in Unity Catalog, and removes it afterwards: here
  that is the run's own copy. The registered one is another, as on the service.
- Files of models in Unity Catalog always go through the Files API. The service tells the client whether to do that or
  to use its cloud storage with temporary credentials, which can't be had without a cloud.
- The workspace registry copies a version's files when it is registered; here they stay where the run has them.
- Both registries are one in the server behind; only a name with three levels is one of Unity Catalog's.
"""

import json
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import requests

Answer = tuple[int, dict[str, str], bytes]
Body = dict[str, Any]

_MLFLOW, _UNITY = "/api/2.0/mlflow/", "/api/2.0/mlflow/unity-catalog/"
_SIGNED = "/api/2.0/mlflow-artifacts/signed"
_FILES, _FOLDERS = "/api/2.0/fs/files/Models/", "/api/2.0/fs/directories/Models/"
_RESERVED_IN_TAGS = ".,-=/:"
"""As in learn.microsoft.com/azure/databricks/database-objects/tags; the message is from mlflow/recipes-examples#58."""
_MOST_TAGS, _LONGEST_TAG_KEY, _LONGEST_TAG_VALUE = 50, 255, 1000
_AS_ELSEWHERE = [
    ("DELETE", "registered-models/delete"),
    ("DELETE", "registered-models/delete-tag"),
    ("POST", "registered-models/alias"),
    ("DELETE", "registered-models/alias"),
    ("DELETE", "model-versions/delete-tag"),
]
_NAME_FILTER = re.compile(r"\s*name\s*=\s*'([^']*)'\s*")
_RUN_FILTER = re.compile(r"\s*run_id\s*=\s*'([^']*)'\s*")
_SECONDS_TO_ANSWER = 60
_PAGE = 100


@dataclass
class _RefusedError(Exception):
    """What the service answers instead."""

    status: int
    code: str
    message: str

    @property
    def answer(self) -> Answer:
        return _json({"error_code": self.code, "message": self.message}, self.status)


@dataclass
class Registry:
    """Answers the MLflow part of a workspace's REST API."""

    mlflow_uri: str
    folder: Path
    """Where files of models in Unity Catalog are kept."""
    folder_exists: Callable[[str], bool]
    """Whether there is a workspace folder at a path such as `/Shared/workshop`."""
    deny: set[str] = field(default_factory=set)
    """Schemas, as `catalog.schema`, that whoever asks may not use."""
    catalogs: set[str] | None = None
    """The catalogs that there are; None for any that is asked for."""
    pending: set[tuple[str, str]] = field(default_factory=set)
    """Versions in Unity Catalog whose files are not all there yet."""

    def __post_init__(self) -> None:
        """Open what is kept between requests."""
        self._local = threading.local()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """Answer a request whose sender has been let in, or None where it is about something else.

        Args:
            method: of HTTP.
            path: with its query.
            headers: of the request; `Host` is needed where files are downloaded.
            body: of the request.
        """
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            if parts.path.startswith(_UNITY):
                given = {**query, **(json.loads(body) if body else {})}
                return self._unity_catalog(method, parts.path.removeprefix(_UNITY), given)
            if parts.path.startswith((_FILES, _FOLDERS)):
                return self._files(method, unquote(parts.path), body)
            if parts.path == _SIGNED:
                return _content(self._workspace_version(query) / query["path"])
            if parts.path.startswith((_MLFLOW, "/api/3.0/mlflow/", "/api/2.0/mlflow-artifacts/")):
                return self._workspace(method, path, {name.lower(): value for name, value in headers.items()}, body)
        except _RefusedError as refused:
            return refused.answer
        return None

    # Experiments, runs, logged models and the workspace registry

    def _workspace(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(path)
        name = parts.path.removeprefix(_MLFLOW).removeprefix("databricks/")
        in_json = headers.get("content-type", "").startswith("application/json")
        given: Body = json.loads(body) if body and in_json else {}
        query = dict(parse_qsl(parts.query))
        if name in ("experiments/create", "experiments/update"):
            self._require_workspace_path(given.get("name") or given.get("new_name") or "")
        if name.startswith(("registered-models", "model-versions")):
            if name == "registered-models/alias":
                raise _RefusedError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {parts.path[8:]}'")
            self._require_plain_name(name, given.get("name") or query.get("name") or "")
        if parts.path.endswith("/databricks/registered-models/get"):
            found = self._ask("GET", "registered-models/get", {"name": query.get("name", "")})["registered_model"]
            described = {"name": found["name"], "id": found["name"], "permission_level": "CAN_MANAGE"}
            return _json({"registered_model_databricks": described})
        if name == "model-versions/list-artifacts":
            return self._list_artifacts(query)
        if name == "model-versions/get-signed-download-uri":
            address = f"http://{headers['host']}{_SIGNED}?{urlencode(query)}"
            return _json({"signed_uri": address, "headers": []})
        if name == "model-versions/create":
            given.pop("run_link", None)
            if model_id := given.get("model_id"):
                # The client names the place of the files; a server of MLflow's own takes no such place from a client.
                given["source"] = f"models:/{model_id}"
            body = json.dumps(given).encode()
        return self._passed_on(method, path, body, headers.get("content-type", ""))

    def _require_workspace_path(self, name: str) -> None:
        if not name.startswith("/"):
            raise _RefusedError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within the "
                "Databricks workspace, e.g. '/Users/<some-username>/my-experiment'.",
            )
        parent = name.rpartition("/")[0]
        if parent and not self.folder_exists(parent):
            raise _RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"Parent directory {parent} does not exist.")

    def _require_plain_name(self, request: str, name: str) -> None:
        if request == "registered-models/create" and re.search(r"[/.:]", name):
            raise _RefusedError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Invalid name: '{name}'. Registered model names must be non-empty UTF-8 strings and cannot contain "
                "forward slashes(/), periods(.), or colons(:).",
            )

    def _list_artifacts(self, query: dict[str, str]) -> Answer:
        root = self._workspace_version(query)
        place = root / query.get("path", "")
        if not place.exists():
            raise _RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"No artifact at {query.get('path')}")
        entries = sorted(place.iterdir()) if place.is_dir() else [place]
        return _json(
            {
                "root_uri": root.as_uri(),
                "files": [
                    {
                        "path": entry.relative_to(root).as_posix(),
                        "is_dir": entry.is_dir(),
                        "file_size": entry.stat().st_size,
                    }
                    for entry in entries
                ],
            }
        )

    def _workspace_version(self, query: dict[str, str]) -> Path:
        """Where the files of a version in the workspace registry are."""
        asked = {"name": query["name"], "version": query["version"]}
        uri = self._ask("GET", "model-versions/get-download-uri", asked)["artifact_uri"]
        if found := re.fullmatch(r"models:/(m-\w+)", uri):
            uri = self._ask("GET", f"logged-models/{found[1]}", {})["model"]["info"]["artifact_uri"]
        return Path(unquote(urlsplit(uri).path))

    # Unity Catalog

    def _unity_catalog(self, method: str, request: str, given: Body) -> Answer:
        if request == "registered-models:is-databricks-sdk-models-artifact-repository-enabled":
            return _json({"is_databricks_sdk_models_artifact_repository_enabled": True})
        known: dict[tuple[str, str], Callable[[Body], Body]] = {
            ("POST", "registered-models/create"): self._create_model,
            ("PATCH", "registered-models/update"): self._change_model,
            ("GET", "registered-models/get"): self._get_model,
            ("GET", "registered-models/search"): self._search_models,
            ("POST", "registered-models/set-tag"): self._tag_model,
            ("GET", "registered-models/alias"): lambda asked: self._version(self._ask(method, request, asked)),
            ("POST", "model-versions/create"): self._create_version,
            ("POST", "model-versions/finalize"): self._finalize,
            ("PATCH", "model-versions/update"): lambda asked: self._version(self._ask(method, request, asked)),
            ("DELETE", "model-versions/delete"): self._delete_version,
            ("GET", "model-versions/get"): self._get_version,
            ("GET", "model-versions/search"): self._search_versions,
            ("POST", "model-versions/set-tag"): self._tag_version,
            ("GET", "model-versions/get-download-uri"): lambda asked: {
                "artifact_uri": self._place(asked["name"], asked["version"]).as_uri()
            },
            ("POST", "model-versions/generate-temporary-credentials"): self._credentials,
            ("POST", "model-versions/emit-lineage"): lambda _: {},
            **dict.fromkeys(_AS_ELSEWHERE, lambda asked: self._ask(method, request, asked)),
        }
        act = known.get((method, request))
        if act is None:
            raise _RefusedError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {_UNITY[8:]}{request}'")
        if "name" in given:
            self._require_right_to(given["name"])
        return _json(act(given))

    def _require_right_to(self, name: str) -> None:
        levels = name.split(".")
        if len(levels) != 3 or not all(levels):
            raise _RefusedError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Invalid registered model name '{name}'. Please specify all three levels of the model in the form "
                "`catalog_name.schema_name.model_name`",
            )
        catalog, schema = levels[:2]
        if self.catalogs is not None and catalog not in self.catalogs:
            raise _RefusedError(404, "NOT_FOUND", f"Catalog '{catalog}' does not exist.")
        if f"{catalog}.{schema}" in self.deny:
            raise _RefusedError(
                403, "PERMISSION_DENIED", f"User does not have USE SCHEMA on Schema '{catalog}.{schema}'."
            )

    def _create_model(self, given: Body) -> Body:
        _require_tags(given.get("tags", []))
        given.pop("deployment_job_id", None)
        return self._ask("POST", "registered-models/create", given)

    def _change_model(self, given: Body) -> Body:
        if "new_name" in given:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "The stand-in renames no model.")
        given.pop("deployment_job_id", None)
        return self._ask("PATCH", "registered-models/update", given)

    def _get_model(self, given: Body) -> Body:
        return self._ask("GET", "registered-models/get", {"name": given["name"]})

    def _search_models(self, given: Body) -> Body:
        _require_only(given, "max_results", "page_token")
        found = self._ask("GET", "registered-models/search", given)
        models = found.get("registered_models", [])
        return {**found, "registered_models": [_bare(each) for each in models if each["name"].count(".") == 2]}

    def _create_version(self, given: Body) -> Body:
        _require_tags(given.get("tags", []))
        kept = ("name", "source", "run_id", "description", "tags", "model_id")
        created = self._ask("POST", "model-versions/create", {key: given[key] for key in kept if key in given})
        self.pending.add((given["name"], str(created["model_version"]["version"])))
        return self._version(created)

    def _finalize(self, given: Body) -> Body:
        if not (self._place(given["name"], given["version"]) / "MLmodel").is_file():
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", "The model version has no file MLmodel.")
        self.pending.discard((given["name"], str(given["version"])))
        return self._get_version(given)

    def _get_version(self, given: Body) -> Body:
        if not str(given.get("version", "")).isdigit():
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Invalid model version '{given.get('version')}'.")
        asked = {"name": given["name"], "version": given["version"]}
        return self._version(self._ask("GET", "model-versions/get", asked))

    def _delete_version(self, given: Body) -> Body:
        done = self._ask("DELETE", "model-versions/delete", given)
        shutil.rmtree(self._place(given["name"], given["version"]), ignore_errors=True)
        return done

    def _search_versions(self, given: Body) -> Body:
        _require_only(given, "filter", "max_results", "page_token")
        asked = given.get("filter", "")
        by_name = _NAME_FILTER.fullmatch(asked)
        if by_name is None and not _RUN_FILTER.fullmatch(asked):
            raise _RefusedError(
                400, "INVALID_PARAMETER_VALUE", f"Unsupported filter: '{asked}'. Filter by one name or one run_id."
            )
        if by_name is not None:
            self._require_right_to(by_name[1])
            self._get_model({"name": by_name[1]})  # or else it does not exist; this is our reading
        # A page of the service's is its own choice, however many results are asked for.
        given["max_results"] = min(int(given.get("max_results", _PAGE)), _PAGE)
        found = self._ask("GET", "model-versions/search", given)
        entries = found.get("model_versions", [])
        versions = [_bare(self._version({"model_version": each})["model_version"]) for each in entries]
        # In no order that the client may rely on, and without tags and aliases.
        return {**found, "model_versions": sorted(versions, key=lambda each: int(each["version"]) % 3)}

    def _tag_model(self, given: Body) -> Body:
        kept = self._get_model(given)["registered_model"].get("tags", [])
        _require_tags([*(each for each in kept if each["key"] != given["key"]), given])
        return self._ask("POST", "registered-models/set-tag", given)

    def _tag_version(self, given: Body) -> Body:
        kept = self._get_version(given)["model_version"].get("tags", [])
        _require_tags([*(each for each in kept if each["key"] != given["key"]), given])
        return self._ask("POST", "model-versions/set-tag", given)

    def _credentials(self, given: Body) -> Body:
        raise _RefusedError(400, "INVALID_STATE", "The stand-in has no cloud storage: use the Files API.")

    def _version(self, answered: Body) -> Body:
        """A version as Unity Catalog gives it."""
        version = {**answered["model_version"]}
        number = str(version["version"])
        for name in ("current_stage", "run_link", "user_id", "model_params", "model_metrics", "deployment_job_state"):
            version.pop(name, None)
        ready = (version["name"], number) not in self.pending
        version["status"] = "READY" if ready else "PENDING_REGISTRATION"
        version["aliases"] = [{"alias": alias, "version": number} for alias in version.get("aliases", [])]
        version["storage_location"] = self._place(version["name"], number).as_uri()
        return {"model_version": version}

    # Files of models in Unity Catalog

    def _place(self, name: str, version: str) -> Path:
        return self.folder.joinpath("Models", *name.split("."), str(version))

    def _files(self, method: str, path: str, body: bytes) -> Answer:
        inside = path.partition("/Models/")[2]
        levels = inside.split("/")
        if ".." in levels or len(levels) < 4:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Invalid path: /Models/{inside}")
        name, version = ".".join(levels[:3]), levels[3]
        self._require_right_to(name)
        place = self.folder / "Models" / inside
        match method, path.startswith(_FOLDERS[:-7]):
            case "PUT", False:
                if (name, version) not in self.pending:
                    raise _RefusedError(403, "PERMISSION_DENIED", f"Version {version} of {name} is not to be changed.")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(body)
                return 204, {}, b""
            case "GET" | "HEAD", False:
                return _content(place, with_body=method == "GET")
            case "HEAD", True if place.is_dir():
                return 200, {}, b""
            case "GET", True if place.is_dir():
                return _json({"contents": [_entry(each, path) for each in sorted(place.iterdir())]})
        raise _RefusedError(404, "NOT_FOUND", f"The path /Models/{inside} does not exist.")

    # The server behind

    def _ask(self, method: str, request: str, given: Body) -> Body:
        """Ask the server behind, and pass on what it refuses."""
        address, body = f"{_MLFLOW}{request}", b""
        if method == "GET":
            address += f"?{urlencode(given)}"
        else:
            body = json.dumps(given).encode()
        status, _, answered = self._passed_on(method, address, body, "application/json")
        content: Body = json.loads(answered or b"{}")
        if status != 200:
            raise _RefusedError(status, content.get("error_code", "INTERNAL_ERROR"), content.get("message", ""))
        return content

    def _passed_on(self, method: str, path: str, body: bytes, content_type: str) -> Answer:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        answered = self._local.session.request(
            method,
            f"{self.mlflow_uri}{path}",
            data=body or None,
            headers={"Content-Type": content_type} if content_type else {},
            timeout=_SECONDS_TO_ANSWER,
        )
        headers = {"Content-Type": answered.headers.get("Content-Type", ""), "x-databricks-org-id": "1"}
        return answered.status_code, headers, answered.content


def _json(content: Body, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _content(place: Path, *, with_body: bool = True) -> Answer:
    if not place.is_file():
        raise _RefusedError(404, "NOT_FOUND", f"There is no file {place.name}.")
    content = place.read_bytes()
    headers = {"Content-Type": "application/octet-stream", "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
    return 200, headers | ({} if with_body else {"Content-Length": str(len(content))}), content if with_body else b""


def _entry(place: Path, folder: str) -> Body:
    path = f"{folder.removeprefix('/api/2.0/fs/directories').rstrip('/')}/{place.name}"
    size = {} if place.is_dir() else {"file_size": place.stat().st_size}
    return {"path": path, "name": place.name, "is_directory": place.is_dir(), **size}


def _bare(entry: Body) -> Body:
    return {key: value for key, value in entry.items() if key not in ("tags", "aliases", "latest_versions")}


def _require_only(given: Body, *names: str) -> None:
    if unknown := sorted(set(given) - set(names)):
        raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"Unknown parameter: {unknown[0]}")


def _require_tags(tags: list[Body]) -> None:
    if len(tags) > _MOST_TAGS:
        raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"At most {_MOST_TAGS} tags can be assigned to an entity.")
    for tag in tags:
        if set(tag["key"]) & set(_RESERVED_IN_TAGS):
            raise _RefusedError(
                400,
                "INVALID_PARAMETER_VALUE",
                f"Tag name {tag['key']} contains one or more of the reserved characters: List(., ,, -, =, /, :)",
            )
        if len(tag["key"]) > _LONGEST_TAG_KEY or len(tag.get("value", "")) > _LONGEST_TAG_VALUE:
            raise _RefusedError(400, "INVALID_PARAMETER_VALUE", f"The tag {tag['key']} or its value is too long.")
