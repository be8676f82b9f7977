"""The differences between model registries: MLflow's own, and the two of Databricks.

Unity Catalog (`databricks-uc`) has aliases and no stages, names of three levels, and tags with limits of their own. Its
search returns no tags and finds by name only. The older workspace registry (`databricks`) has stages and no aliases.
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
from typing_extensions import override

from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings

_AT_ONCE = 8
_OURS = "workshop."
_OURS_IN_UNITY_CATALOG = "workshop_"
_RESERVED_IN_TAGS = re.compile(r"[.,\-=/:]")
"""Characters that Unity Catalog refuses in the name of a tag."""
_LONGEST_TAG = 1000
"""Most characters of a tag's value in Unity Catalog."""


def is_databricks(uri: str) -> bool:
    """Return whether a tracking URI is that of a Databricks workspace."""
    return re.fullmatch(r"databricks(://.*)?", uri) is not None


def is_unity_catalog(uri: str) -> bool:
    """Return whether a registry URI is that of Unity Catalog on Databricks."""
    return re.fullmatch(r"databricks-uc(://.*)?", uri) is not None


def is_of_databricks(uri: str) -> bool:
    """Return whether a registry URI is that of either registry of Databricks."""
    return is_databricks(uri) or is_unity_catalog(uri)


def registry_beside(tracking_uri: str) -> str:
    """Return the default registry URI for runs that are recorded at `tracking_uri`."""
    if is_databricks(tracking_uri) and current_settings().slots == "alias":
        return tracking_uri.replace("databricks", "databricks-uc", 1)
    return tracking_uri


def open_client() -> MlflowClient:
    """Return a client of MLflow's current store, which hides the differences between registries."""
    return UnityCatalogClient() if is_unity_catalog(mlflow.get_registry_uri()) else RegistryClient()


def require_fitting(model_name: str) -> None:
    """Check that the registry supports a model of that name, and slots of the configured kind.

    Raises:
        WorkshopError: it does not; the message names the setting to change.
    """
    uri, slots = mlflow.get_registry_uri(), current_settings().slots
    if is_unity_catalog(uri):
        if slots == "stage":
            raise WorkshopError("Unity Catalog has no stages: unset WORKSHOP_SLOTS to use aliases.")
        if model_name.count(".") != 2:
            raise WorkshopError(
                f"{model_name} is not a name for Unity Catalog, which needs a catalog and a schema: set the parameter "
                "model_name to catalog.schema.name, or MLFLOW_REGISTRY_URI=databricks and "
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
    """Return the sentence for a name that no registry of a workspace accepts."""
    return (
        f"{model_name} is a name for neither registry of a workspace: give the model catalog.schema.name in Unity "
        "Catalog, or a name without dots in the workspace's own registry."
    )


def list_versions(client: MlflowClient, model_name: str) -> list[ModelVersion]:
    """Return the versions of a model, newest first, or an empty list; those of Unity Catalog come without tags."""
    try:
        found = _search(client, f"name = '{model_name}'")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    return sorted(found, key=lambda each: int(each.version), reverse=True)


def versions_with_tag(client: MlflowClient, model_name: str, tag: str, value: str = "", most: int = 0) -> list[str]:
    """Return the versions with that tag, newest first; the registry chooses them, unless its search has no tags.

    Args:
        client: of the registry.
        model_name: the registered model.
        tag: the name of the tag.
        value: its value; any value if empty.
        most: how many of the newest to return; all if 0.
    """
    if is_of_databricks(mlflow.get_registry_uri()):
        every = all_versions(client, model_name)
        found = [each for each in every if tag in each.tags and (not value or each.tags[tag] == value)]
    else:
        matching = f"tags.`{tag}` = '{value}'" if value else f"tags.`{tag}` LIKE '%'"
        found = _search(client, f"name = '{model_name}' AND {matching}", most)
    return [str(each.version) for each in found][: most or None]


def newest_first(client: MlflowClient, model_name: str) -> Iterator[ModelVersion]:
    """Iterate over the versions of a model with their tags; if a search returns no tags, look each up in turn."""
    return (_with_tags(client, entry) for entry in list_versions(client, model_name))


def all_versions(client: MlflowClient, model_name: str) -> list[ModelVersion]:
    """Return the versions of a model with their tags, newest first; look several up at once if a search has no tags."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda entry: _with_tags(client, entry), list_versions(client, model_name)))


class RegistryClient(MlflowClient):
    """A client whose writes do not read the whole model first.

    MLflow looks up the registered model, and with it every version, before each write, to refuse a prompt of that
    name. The kit writes only to versions that it has looked up, which MLflow refuses for a prompt too.
    """

    @override
    def _raise_if_prompt(self, name: str) -> None:
        pass


class UnityCatalogClient(RegistryClient):
    """A client that translates between the kit's tags, `workshop.…`, and those of Unity Catalog, `workshop_…`.

    A value that is too long for Unity Catalog is cut; the history contains all of it.
    """

    @override
    def create_model_version(  # type: ignore[override]  # the kit passes the rest by keyword
        self, name: str, source: str, *, tags: dict[str, Any] | None = None, **named: Any
    ) -> ModelVersion:
        kept = {_kept_key(key): _kept_value(value) for key, value in (tags or {}).items()}
        return _shown(super().create_model_version(name, source, tags=kept, **named))

    @override
    def get_model_version(self, name: str, version: str) -> ModelVersion:
        return _shown(super().get_model_version(name, version))

    @override
    def set_model_version_tag(
        self, name: str, version: str | None = None, key: str | None = None, value: Any = None, stage: str | None = None
    ) -> None:
        super().set_model_version_tag(name, version, _kept_key(str(key)), _kept_value(value), stage)

    @override
    def delete_model_version_tag(
        self, name: str, version: str | None = None, key: str | None = None, stage: str | None = None
    ) -> None:
        super().delete_model_version_tag(name, version, _kept_key(str(key)), stage)


def _search(client: MlflowClient, filter_string: str, most: int = 0) -> list[ModelVersion]:
    """Return the versions that a filter matches, or `most` of the newest."""
    found: list[ModelVersion] = []
    token = None
    while not most or len(found) < most:
        # Only a limited search needs the order, which Unity Catalog does not have.
        limited: dict[str, Any] = {"max_results": most, "order_by": ["version_number DESC"]} if most else {}
        page = client.search_model_versions(filter_string, page_token=token, **limited)
        found += page
        token = page.token
        if not token:
            break
    return found


def _with_tags(client: MlflowClient, entry: ModelVersion) -> ModelVersion:
    return client.get_model_version(entry.name, entry.version) if isinstance(entry, ModelVersionSearch) else entry


def _kept_key(key: str) -> str:
    return _RESERVED_IN_TAGS.sub("_", key)


def _kept_value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TAG else f"{text[: _LONGEST_TAG - 2]} …"


def _shown(version: ModelVersion) -> ModelVersion:
    """Rename the kit's tags of a version to their names in every other registry."""
    for tag in [tag for tag in version.tags if tag.startswith(_OURS_IN_UNITY_CATALOG)]:
        version.tags[_OURS + tag.removeprefix(_OURS_IN_UNITY_CATALOG)] = version.tags.pop(tag)
    return version
