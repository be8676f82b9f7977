"""Registered models in Unity Catalog: the calls of MLflow's `UcModelRegistryStore`.

Where the rules are from: calls and fields, MLflow's `protos/databricks_uc_registry_messages.proto`; the names and the
limits of tags, learn.microsoft.com/azure/databricks/database-objects/tags and mlflow/recipes-examples issue 58. Our
reading: a search for versions of a missing model is refused; versions come in no fixed order, without tags and
aliases; a page has at most 100.
"""

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from databricks_local.answers import Answer, Refused, Request, as_json, invalid
from databricks_local.mlflow_backend import Body, MlflowBackend
from databricks_local.model_files import ModelFiles

UNITY_CATALOG = "/api/2.0/mlflow/unity-catalog/"
_RESERVED_IN_TAGS = ".,-=/:"
_MOST_TAGS, _LONGEST_TAG_KEY, _LONGEST_TAG_VALUE = 50, 255, 1000
_SAME_AS_MLFLOW = [
    ("DELETE", "registered-models/delete"),
    ("DELETE", "registered-models/delete-tag"),
    ("POST", "registered-models/alias"),
    ("DELETE", "registered-models/alias"),
    ("DELETE", "model-versions/delete-tag"),
]
_NAME_FILTER = re.compile(r"\s*name\s*=\s*'([^']*)'\s*")
_RUN_FILTER = re.compile(r"\s*run_id\s*=\s*'([^']*)'\s*")
_PAGE = 100
_FILES_API_QUESTION = "registered-models:is-databricks-sdk-models-artifact-repository-enabled"


class UnityCatalogModels:
    """The registered models and their versions."""

    def __init__(self, backend: MlflowBackend, folder: Path, deny: set[str]) -> None:
        self._backend = backend
        self._deny = deny
        self.catalogs: set[str] | None = None
        """The catalogs that exist; None for any name."""
        self.files = ModelFiles(folder, self._require_right_to)
        self.calls: dict[tuple[str, str], Callable[[Body], Body]] = {
            ("GET", _FILES_API_QUESTION): lambda _: {"is_databricks_sdk_models_artifact_repository_enabled": True},
            ("POST", "registered-models/create"): self._create_model,
            ("PATCH", "registered-models/update"): self._change_model,
            ("GET", "registered-models/get"): self._get_model,
            ("GET", "registered-models/search"): self._search_models,
            ("POST", "registered-models/set-tag"): self._tag_model,
            ("GET", "registered-models/alias"): self._get_aliased,
            ("POST", "model-versions/create"): self._create_version,
            ("POST", "model-versions/finalize"): self._finalize,
            ("PATCH", "model-versions/update"): self._change_version,
            ("DELETE", "model-versions/delete"): self._delete_version,
            ("GET", "model-versions/get"): self._get_version,
            ("GET", "model-versions/search"): self._search_versions,
            ("POST", "model-versions/set-tag"): self._tag_version,
            ("GET", "model-versions/get-download-uri"): self._get_folder,
            ("POST", "model-versions/generate-temporary-credentials"): self._refuse_credentials,
            ("POST", "model-versions/emit-lineage"): lambda _: {},
            **{each: partial(backend.call, *each) for each in _SAME_AS_MLFLOW},
        }

    def answer(self, request: Request) -> Answer:
        """Answer one of the calls."""
        name = request.path.removeprefix(UNITY_CATALOG)
        given = {**request.query, **(json.loads(request.body) if request.body else {})}
        call = self.calls.get((request.method, name))
        if call is None:
            raise Refused(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path[8:]}'")
        if "name" in given and name != _FILES_API_QUESTION:
            self._require_right_to(given["name"])
        return as_json(call(given))

    def _require_right_to(self, name: str) -> None:
        levels = name.split(".")
        if len(levels) != 3 or not all(levels):
            raise invalid(
                f"Invalid registered model name '{name}'. Please specify all three levels of the model in the form "
                "`catalog_name.schema_name.model_name`",
            )
        catalog, schema = levels[:2]
        if self.catalogs is not None and catalog not in self.catalogs:
            raise Refused(404, "NOT_FOUND", f"Catalog '{catalog}' does not exist.")
        if f"{catalog}.{schema}" in self._deny:
            raise Refused(403, "PERMISSION_DENIED", f"User does not have USE SCHEMA on Schema '{catalog}.{schema}'.")

    def _create_model(self, given: Body) -> Body:
        _require_tags(given.get("tags", []))
        given.pop("deployment_job_id", None)
        return self._backend.call("POST", "registered-models/create", given)

    def _change_model(self, given: Body) -> Body:
        if "new_name" in given:
            raise invalid("This workspace renames no models.")
        given.pop("deployment_job_id", None)
        return self._backend.call("PATCH", "registered-models/update", given)

    def _get_model(self, given: Body) -> Body:
        return self._backend.call("GET", "registered-models/get", {"name": given["name"]})

    def _search_models(self, given: Body) -> Body:
        _require_only(given, "max_results", "page_token")
        found = self._backend.call("GET", "registered-models/search", given)
        models = found.get("registered_models", [])
        return {**found, "registered_models": [_bare(each) for each in models if each["name"].count(".") == 2]}

    def _create_version(self, given: Body) -> Body:
        _require_tags(given.get("tags", []))
        kept = ("name", "source", "run_id", "description", "tags", "model_id")
        created = self._backend.call("POST", "model-versions/create", {key: given[key] for key in kept if key in given})
        self.files.pending.add((given["name"], str(created["model_version"]["version"])))
        return self._version(created)

    def _change_version(self, given: Body) -> Body:
        return self._version(self._backend.call("PATCH", "model-versions/update", given))

    def _get_aliased(self, given: Body) -> Body:
        return self._version(self._backend.call("GET", "registered-models/alias", given))

    def _get_folder(self, given: Body) -> Body:
        return {"artifact_uri": self.files.place(given["name"], given["version"]).as_uri()}

    def _finalize(self, given: Body) -> Body:
        if not (self.files.place(given["name"], given["version"]) / "MLmodel").is_file():
            raise invalid("The model version has no file MLmodel.")
        self.files.pending.discard((given["name"], str(given["version"])))
        return self._get_version(given)

    def _get_version(self, given: Body) -> Body:
        if not str(given.get("version", "")).isdigit():
            raise invalid(f"Invalid model version '{given.get('version')}'.")
        asked = {"name": given["name"], "version": given["version"]}
        return self._version(self._backend.call("GET", "model-versions/get", asked))

    def _delete_version(self, given: Body) -> Body:
        done = self._backend.call("DELETE", "model-versions/delete", given)
        shutil.rmtree(self.files.place(given["name"], given["version"]), ignore_errors=True)
        return done

    def _search_versions(self, given: Body) -> Body:
        _require_only(given, "filter", "max_results", "page_token")
        asked = given.get("filter", "")
        by_name = _NAME_FILTER.fullmatch(asked)
        if by_name is None and not _RUN_FILTER.fullmatch(asked):
            raise invalid(f"Unsupported filter: '{asked}'. Filter by one name or one run_id.")
        if by_name is not None:
            self._require_right_to(by_name[1])
            self._get_model({"name": by_name[1]})  # refuses a model that does not exist
        # The service chooses the page size, whatever the request contains.
        given["max_results"] = min(int(given.get("max_results", _PAGE)), _PAGE)
        found = self._backend.call("GET", "model-versions/search", given)
        entries = found.get("model_versions", [])
        versions = [_bare(self._version({"model_version": each})["model_version"]) for each in entries]
        # In no fixed order, and without tags and aliases.
        return {**found, "model_versions": sorted(versions, key=lambda each: int(each["version"]) % 3)}

    def _tag_model(self, given: Body) -> Body:
        kept = self._get_model(given)["registered_model"].get("tags", [])
        _require_tags([*(each for each in kept if each["key"] != given["key"]), given])
        return self._backend.call("POST", "registered-models/set-tag", given)

    def _tag_version(self, given: Body) -> Body:
        kept = self._get_version(given)["model_version"].get("tags", [])
        _require_tags([*(each for each in kept if each["key"] != given["key"]), given])
        return self._backend.call("POST", "model-versions/set-tag", given)

    def _refuse_credentials(self, _: Body) -> Body:
        raise Refused(400, "INVALID_STATE", "This workspace has no cloud storage: use the Files API.")

    def _version(self, answer: Body) -> Body:
        """Return a version as Unity Catalog describes it."""
        version = {**answer["model_version"]}
        number = str(version["version"])
        for name in ("current_stage", "run_link", "user_id", "model_params", "model_metrics", "deployment_job_state"):
            version.pop(name, None)
        ready = (version["name"], number) not in self.files.pending
        version["status"] = "READY" if ready else "PENDING_REGISTRATION"
        version["aliases"] = [{"alias": alias, "version": number} for alias in version.get("aliases", [])]
        version["storage_location"] = self.files.place(version["name"], number).as_uri()
        return {"model_version": version}


def _bare(entry: Body) -> Body:
    return {key: value for key, value in entry.items() if key not in ("tags", "aliases", "latest_versions")}


def _require_only(given: Body, *names: str) -> None:
    if unknown := sorted(set(given) - set(names)):
        raise invalid(f"Unknown parameter: {unknown[0]}")


def _require_tags(tags: list[Body]) -> None:
    if len(tags) > _MOST_TAGS:
        raise invalid(f"At most {_MOST_TAGS} tags can be assigned to an entity.")
    for tag in tags:
        if set(tag["key"]) & set(_RESERVED_IN_TAGS):
            raise invalid(
                f"Tag name {tag['key']} contains one or more of the reserved characters: List(., ,, -, =, /, :)",
            )
        if len(tag["key"]) > _LONGEST_TAG_KEY or len(tag.get("value", "")) > _LONGEST_TAG_VALUE:
            raise invalid(f"The tag {tag['key']} or its value is too long.")
