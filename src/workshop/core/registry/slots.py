"""Slots: the names under which consumers load a model, and the version that holds each.

A slot is an alias of the registered model, or a stage in registries that still use stages. One call moves it, in one
transaction of the registry: a consumer never finds the slot empty.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from typing_extensions import override

from workshop.core.registry.backends import (
    all_versions,
    is_unity_catalog,
    list_versions,
    require_fitting,
    versions_with_tag,
)
from workshop.core.registry.mlflow_store import explained
from workshop.core.settings import current_settings

ARCHIVED_TAG = "workshop.archived"
PREVIOUS_TAG = "workshop.previous"
_LONGEST_DESCRIPTION = 5000
"""The size of MLflow's column; SQLite ignores it, PostgreSQL enforces it."""
_LONGEST_NUMBER = 9
"""Most digits of a version, whose column is an integer of 32 bits."""


class Slot(StrEnum):
    """The slots that a version can hold."""

    PRODUCTION = "production"
    STAGING = "staging"
    PREVIOUS = "previous"
    """The earlier holder of Production, for a rollback."""


class Slots(ABC):
    """The slots of one registered model."""

    def __init__(self, client: MlflowClient, model_name: str) -> None:
        self.client = client
        self.model_name = model_name

    @abstractmethod
    def holder(self, slot: Slot) -> str | None:
        """Return the version that holds the slot, or None."""

    @abstractmethod
    def assign(self, slot: Slot, version: str) -> None:
        """Give the slot to `version`, in one call."""

    @abstractmethod
    def release(self, slot: Slot) -> None:
        """Empty the slot, after its first holder has failed."""

    @abstractmethod
    def uri(self, slot: Slot) -> str:
        """Return the URI by which a consumer loads the holder of the slot."""

    def archive(self, version: str) -> None:
        """Mark a version as an earlier holder of Production."""
        self.tag(version, {ARCHIVED_TAG: datetime.now(UTC).isoformat(timespec="seconds")})

    def archived(self, most: int = 0) -> list[str]:
        """Return the archived versions, oldest first; only the newest `most`, unless 0."""
        in_production = self.holder(Slot.PRODUCTION)
        # The holder of Production may have been archived before.
        found = self.versions_tagged(ARCHIVED_TAG, most=most and most + 1)
        return [version for version in found if version != in_production][-most:]

    def entry(self, version: str) -> ModelVersion | None:
        """Return the registry's entry of a version, with its tags, or None if there is none of that number."""
        # A longer number fits into no column of the registries, and `01` is another way to write 1.
        if not version.isdecimal() or len(version) > _LONGEST_NUMBER or version != str(int(version)):
            return None
        with explained(f"look up version {version} of {self.model_name}"):
            try:
                return self.client.get_model_version(self.model_name, version)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def was_archived(self, version: str) -> bool:
        """Return whether a version is marked as an earlier holder of Production."""
        entry = self.entry(version)
        return entry is not None and ARCHIVED_TAG in entry.tags

    def exists(self, version: str) -> bool:
        """Return whether the registry has that version."""
        return self.entry(version) is not None

    def versions(self) -> list[str]:
        """Return all versions, oldest first."""
        with explained(f"list the versions of {self.model_name}"):
            return [str(entry.version) for entry in list_versions(self.client, self.model_name)][::-1]

    def versions_tagged(self, tag: str, value: str = "", most: int = 0) -> list[str]:
        """Return the versions with that tag, and that value if one is given, oldest first; or the newest `most`."""
        with explained(f"list the versions of {self.model_name}"):
            return sorted(versions_with_tag(self.client, self.model_name, tag, value, most), key=int)

    def version_in(self, slot: Slot) -> ModelVersion | None:
        """Return the registry's entry of the slot's holder, with its tags, or None."""
        version = self.holder(slot)
        return self.entry(version) if version is not None else None

    def holders(self) -> dict[str, str | None]:
        """Return the holder of each slot."""
        return {slot.value: self.holder(slot) for slot in Slot}

    def tag(self, version: str, tags: dict[str, str]) -> None:
        """Write tags on a version, where the team sees them."""
        with explained(f"tag version {version}"):
            for key, value in tags.items():
                self.client.set_model_version_tag(self.model_name, version, key, value)

    def add_to_description(self, entry: ModelVersion, line: str) -> None:
        """Add a line to a version's description, unless it is there; if it is full, drop the oldest lines."""
        version, description = str(entry.version), entry.description or ""
        if line not in description:
            with explained(f"describe version {version}"):
                self.client.update_model_version(self.model_name, version, _fitting([*description.split("\n\n"), line]))

    def _model(self) -> RegisteredModel | None:
        """Return the registered model, or None before its first version."""
        with explained(f"look up {self.model_name}"):
            try:
                return self.client.get_registered_model(self.model_name)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def _versions(self) -> list[ModelVersion]:
        """Return all versions with their tags, oldest first."""
        with explained(f"list the versions of {self.model_name}"):
            return all_versions(self.client, self.model_name)[::-1]


class AliasSlots(Slots):
    """Slots as aliases, which every registry since MLflow 2.3 has, Unity Catalog included."""

    @override
    def holder(self, slot: Slot) -> str | None:
        entry = self.version_in(slot)
        return str(entry.version) if entry is not None else None

    @override
    def version_in(self, slot: Slot) -> ModelVersion | None:
        with explained(f"look up the version in {slot} of {self.model_name}"):
            try:
                return self.client.get_model_version_by_alias(self.model_name, slot.value)
            except MlflowException as error:
                # The code of an alias that is not set is that of a request with an invalid parameter.
                unset = error.error_code == "INVALID_PARAMETER_VALUE" and f"alias {slot.value} not found" in str(error)
                if unset or error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    @override
    def assign(self, slot: Slot, version: str) -> None:
        with explained(f"give {slot.value} to version {version}"):
            self.client.set_registered_model_alias(self.model_name, slot.value, version)

    @override
    def release(self, slot: Slot) -> None:
        with explained(f"release {slot.value}"):
            self.client.delete_registered_model_alias(self.model_name, slot.value)

    @override
    def uri(self, slot: Slot) -> str:
        return f"models:/{self.model_name}@{slot.value}"


class CatalogSlots(AliasSlots):
    """Slots as aliases of Unity Catalog, which lists those of a model in one call, without its versions."""

    @override
    def holder(self, slot: Slot) -> str | None:
        return self.holders()[slot.value]

    @override
    def version_in(self, slot: Slot) -> ModelVersion | None:
        return Slots.version_in(self, slot)

    @override
    def holders(self) -> dict[str, str | None]:
        model = self._model()
        aliases = model.aliases if model is not None else {}
        return {slot.value: str(aliases[slot.value]) if slot.value in aliases else None for slot in Slot}


class StageSlots(Slots):
    """Slots as stages, which MLflow has deprecated and some registries still use.

    A version has one stage, so Previous, whose holder is also Archived, is a tag of the registered model. The registry
    also archives versions that leave Staging, so earlier holders of Production are known by their tag.
    """

    @override
    def holder(self, slot: Slot) -> str | None:
        if slot is Slot.PREVIOUS:
            model = self._model()
            version = model.tags.get(PREVIOUS_TAG) if model is not None else None
            return version if version is not None and self.exists(version) else None
        held = [entry for entry in self._versions() if entry.current_stage == slot.value.capitalize()]
        return str(held[-1].version) if held else None

    @override
    def assign(self, slot: Slot, version: str) -> None:
        with explained(f"give {slot.value} to version {version}"):
            if slot is Slot.PREVIOUS:
                self.client.set_registered_model_tag(self.model_name, PREVIOUS_TAG, version)
                return
            with _without_deprecation_warnings():
                self.client.transition_model_version_stage(
                    self.model_name, version, slot.value.capitalize(), archive_existing_versions=True
                )

    @override
    def release(self, slot: Slot) -> None:
        held = self.holder(slot)
        with explained(f"release {slot.value}"), _without_deprecation_warnings():
            if slot is Slot.PREVIOUS:
                self.client.delete_registered_model_tag(self.model_name, PREVIOUS_TAG)
            elif held is not None:
                self.client.transition_model_version_stage(self.model_name, held, "None")

    @override
    def uri(self, slot: Slot) -> str:
        if slot is Slot.PREVIOUS:
            return f"models:/{self.model_name}/{self.holder(slot)}"
        return f"models:/{self.model_name}/{slot.value.capitalize()}"

    @override
    def archive(self, version: str) -> None:
        # The transition into Production has archived the old holder, unless a crash came between.
        entry = self.entry(version)
        if entry is not None and entry.current_stage != "Archived":
            with explained(f"archive version {version}"), _without_deprecation_warnings():
                self.client.transition_model_version_stage(self.model_name, version, "Archived")
        super().archive(version)


def open_slots(client: MlflowClient, model_name: str) -> Slots:
    """Return the slots of a registered model: aliases or stages, according to `WORKSHOP_SLOTS`.

    Raises:
        WorkshopError: the registry does not support slots of that kind, or such a model name.
    """
    require_fitting(model_name)
    if current_settings().slots == "stage":
        return StageSlots(client, model_name)
    kind = CatalogSlots if is_unity_catalog(mlflow.get_registry_uri()) else AliasSlots
    return kind(client, model_name)


def _fitting(lines: list[str]) -> str:
    """Join as many of the last lines as fit into a description."""
    kept = [line for line in lines if line]
    while len("\n\n".join(kept)) > _LONGEST_DESCRIPTION and len(kept) > 1:
        del kept[0]
    return "\n\n".join(kept)[:_LONGEST_DESCRIPTION]


@contextmanager
def _without_deprecation_warnings() -> Iterator[None]:
    """Suppress the warnings about stages: WORKSHOP_SLOTS=stage is a deliberate choice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
