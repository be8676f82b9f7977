"""What differs between the registries that models are kept in: MLflow's own, and the two of Databricks.

Unity Catalog (`databricks-uc`) has aliases and no stages, names of three levels, and tags with limits of their own. Its
search gives no tags and finds by name only. The older workspace registry (`databricks`) has stages and no aliases.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.exceptions import MlflowException

from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings

_AT_ONCE = 8
_OURS = "workshop."
_OURS_IN_UNITY_CATALOG = "workshop_"
_RESERVED_IN_TAGS = re.compile(r"[.,\-=/:]")
"""Characters that a tag's name can't have in Unity Catalog."""
_LONGEST_TAG = 1000
"""Characters of a tag's value in Unity Catalog."""


def is_databricks(uri: str) -> bool:
    """Whether a tracking URI is that of a Databricks workspace."""
    return re.fullmatch(r"databricks(://.*)?", uri) is not None


def is_unity_catalog(uri: str) -> bool:
    """Whether a registry URI is that of Unity Catalog on Databricks."""
    return re.fullmatch(r"databricks-uc(://.*)?", uri) is not None


def registry_beside(tracking_uri: str) -> str:
    """Where models are recorded by default, if runs are at `tracking_uri`."""
    if is_databricks(tracking_uri) and current_settings().slots == "alias":
        return tracking_uri.replace("databricks", "databricks-uc", 1)
    return tracking_uri


def open_client() -> MlflowClient:
    """A client of the store that MLflow is pointed at, to which all registries look alike."""
    return UnityCatalogClient() if is_unity_catalog(mlflow.get_registry_uri()) else MlflowClient()


def require_fitting(model_name: str) -> None:
    """Make sure that the registry can have a model of that name, and slots of the kind that is set.

    Raises:
        WorkshopError: it can't; the sentence says which setting to change.
    """
    uri, slots = mlflow.get_registry_uri(), current_settings().slots
    if is_unity_catalog(uri):
        if slots == "stage":
            raise WorkshopError("Unity Catalog has no stages: unset WORKSHOP_SLOTS, so that slots are aliases.")
        if model_name.count(".") != 2:
            raise WorkshopError(
                f"A model in Unity Catalog has a catalog and a schema in its name, and {model_name} has not: set the "
                "parameter model_name to catalog.schema.name, or MLFLOW_REGISTRY_URI=databricks and "
                "WORKSHOP_SLOTS=stage for the workspace's own registry."
            )
    elif is_databricks(uri):
        if slots == "alias":
            raise WorkshopError(
                "The workspace's own registry has no aliases: set WORKSHOP_SLOTS=stage, or use Unity Catalog with "
                "MLFLOW_REGISTRY_URI=databricks-uc."
            )
        if model_name.count(".") == 2:
            raise WorkshopError(
                f"{model_name} is a name for Unity Catalog: set MLFLOW_REGISTRY_URI=databricks-uc and unset "
                "WORKSHOP_SLOTS, or give the parameter model_name a name without dots."
            )
        if "." in model_name:
            raise WorkshopError(name_for_neither(model_name))


def name_for_neither(model_name: str) -> str:
    """What is wrong with a name that no registry of a workspace takes."""
    return (
        f"{model_name} is a name for neither registry of a workspace: give the model catalog.schema.name in Unity "
        "Catalog, or a name without dots in the workspace's own registry."
    )


def list_versions(client: MlflowClient, model_name: str) -> list[ModelVersion]:
    """The versions of a model, newest first; none before there is one. Those of Unity Catalog are without tags."""
    found: list[ModelVersion] = []
    token = None
    try:
        while True:
            page = client.search_model_versions(f"name = '{model_name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                break
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return sorted(found, key=lambda each: int(each.version), reverse=True)


def newest_first(client: MlflowClient, model_name: str) -> Iterator[ModelVersion]:
    """The versions of a model with their tags, each looked up only when it is its turn where a search gives no tags."""
    return (_with_tags(client, entry) for entry in list_versions(client, model_name))


def all_versions(client: MlflowClient, model_name: str) -> list[ModelVersion]:
    """The versions of a model with their tags, newest first; looked up several at once where a search gives no tags."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda entry: _with_tags(client, entry), list_versions(client, model_name)))


class UnityCatalogClient(MlflowClient):
    """A client whose tags are named as everywhere else, `workshop.…`, and kept as `workshop_…`.

    A value that is longer than Unity Catalog can keep is cut; the history has all of it.
    """

    def create_model_version(  # type: ignore[override]  # nobody here gives the rest but by keyword
        self, name: str, source: str, *, tags: dict[str, Any] | None = None, **named: Any
    ) -> ModelVersion:
        """See MLflow."""
        kept = {_kept_key(key): _kept_value(value) for key, value in (tags or {}).items()}
        return _shown(super().create_model_version(name, source, tags=kept, **named))

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """See MLflow."""
        return _shown(super().get_model_version(name, version))

    def set_model_version_tag(
        self, name: str, version: str | None = None, key: str | None = None, value: Any = None, stage: str | None = None
    ) -> None:
        """See MLflow."""
        super().set_model_version_tag(name, version, _kept_key(str(key)), _kept_value(value), stage)

    def delete_model_version_tag(
        self, name: str, version: str | None = None, key: str | None = None, stage: str | None = None
    ) -> None:
        """See MLflow."""
        super().delete_model_version_tag(name, version, _kept_key(str(key)), stage)


def _with_tags(client: MlflowClient, entry: ModelVersion) -> ModelVersion:
    return client.get_model_version(entry.name, entry.version) if isinstance(entry, ModelVersionSearch) else entry


def _kept_key(key: str) -> str:
    return _RESERVED_IN_TAGS.sub("_", key)


def _kept_value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TAG else f"{text[: _LONGEST_TAG - 2]} …"


def _shown(version: ModelVersion) -> ModelVersion:
    """The version with our tags under the names that they have in every other registry."""
    for tag in [tag for tag in version.tags if tag.startswith(_OURS_IN_UNITY_CATALOG)]:
        version.tags[_OURS + tag.removeprefix(_OURS_IN_UNITY_CATALOG)] = version.tags.pop(tag)
    return version
