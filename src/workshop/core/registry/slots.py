"""Slots: the names under which others look a model up, and which version holds each.

A slot is an alias of the registered model, or a stage where a team's registry still works that way. Either is moved by
one call, which is one transaction in the registry: nobody who looks meanwhile finds the slot empty.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from workshop.core.registry.backends import all_versions, list_versions, require_fitting
from workshop.core.registry.mlflow_store import explained
from workshop.core.settings import current_settings

ARCHIVED_TAG = "workshop.archived"
PREVIOUS_TAG = "workshop.previous"
_LONGEST_DESCRIPTION = 5000
"""What MLflow's table holds; SQLite does not mind, PostgreSQL does."""


class Slot(StrEnum):
    """The slots that a version can hold."""

    PRODUCTION = "production"
    STAGING = "staging"
    PREVIOUS = "previous"
    """Who held Production before: the way back."""


class Slots(ABC):
    """The slots of one registered model."""

    def __init__(self, client: MlflowClient, model_name: str) -> None:
        self.client = client
        self.model_name = model_name

    @abstractmethod
    def holder(self, slot: Slot) -> str | None:
        """The version that holds the slot, or None."""

    @abstractmethod
    def assign(self, slot: Slot, version: str) -> None:
        """Let `version` hold the slot from now on, in one call."""

    @abstractmethod
    def release(self, slot: Slot) -> None:
        """Let nobody hold the slot; for a first holder that turned out not to work."""

    @abstractmethod
    def uri(self, slot: Slot) -> str:
        """The URI by which a consumer loads whatever holds the slot."""

    def archive(self, version: str) -> None:
        """Mark a version as one that held Production and no longer does."""
        self.tag(version, {ARCHIVED_TAG: datetime.now(UTC).isoformat(timespec="seconds")})

    def archived(self) -> list[str]:
        """The archived versions, oldest first."""
        in_production = self.holder(Slot.PRODUCTION)
        return [version for version in self.versions_tagged(ARCHIVED_TAG) if version != in_production]

    def exists(self, version: str) -> bool:
        """Whether the registry has that version."""
        with explained(f"look up version {version} of {self.model_name}"):
            return version in [str(entry.version) for entry in list_versions(self.client, self.model_name)]

    def versions_tagged(self, tag: str, value: str | None = None) -> list[str]:
        """The versions with that tag, and that value of it if one is given; oldest first."""
        return [
            str(entry.version) for entry in self._versions() if tag in entry.tags and value in (None, entry.tags[tag])
        ]

    def version_in(self, slot: Slot) -> ModelVersion | None:
        """The registry's entry of the version that holds the slot, with its tags, or None."""
        version = self.holder(slot)
        if version is None:
            return None
        with explained(f"look up version {version}"):
            return self.client.get_model_version(self.model_name, version)

    def holders(self) -> dict[str, str | None]:
        """Who holds each slot."""
        return {slot.value: self.holder(slot) for slot in Slot}

    def tag(self, version: str, tags: dict[str, str]) -> None:
        """Write tags on a version, where the team sees them."""
        with explained(f"tag version {version}"):
            for key, value in tags.items():
                self.client.set_model_version_tag(self.model_name, version, key, value)

    def add_to_description(self, version: str, line: str) -> None:
        """Add a line to a version's description, unless it is there already; when it is full, the oldest lines go."""
        with explained(f"describe version {version}"):
            said = self.client.get_model_version(self.model_name, version).description or ""
            if line not in said:
                self.client.update_model_version(self.model_name, version, _fitting([*said.split("\n\n"), line]))

    def _model(self) -> RegisteredModel | None:
        """The registered model, or None before its first version."""
        with explained(f"look up {self.model_name}"):
            try:
                return self.client.get_registered_model(self.model_name)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def _versions(self) -> list[ModelVersion]:
        """With their tags, oldest first."""
        with explained(f"list the versions of {self.model_name}"):
            return all_versions(self.client, self.model_name)[::-1]


class AliasSlots(Slots):
    """Slots as aliases: they work in every registry since MLflow 2.3, Unity Catalog included."""

    def holder(self, slot: Slot) -> str | None:
        """See `Slots.holder`."""
        model = self._model()
        version = model.aliases.get(slot.value) if model is not None else None
        return str(version) if version is not None else None

    def assign(self, slot: Slot, version: str) -> None:
        """See `Slots.assign`."""
        with explained(f"give {slot.value} to version {version}"):
            self.client.set_registered_model_alias(self.model_name, slot.value, version)

    def release(self, slot: Slot) -> None:
        """See `Slots.release`."""
        with explained(f"release {slot.value}"):
            self.client.delete_registered_model_alias(self.model_name, slot.value)

    def uri(self, slot: Slot) -> str:
        """See `Slots.uri`."""
        return f"models:/{self.model_name}@{slot.value}"


class StageSlots(Slots):
    """Slots as stages, which MLflow has deprecated and some registries still live by.

    A version has one stage, so Previous, which is also Archived, is a tag of the registered model. And the registry
    puts whatever leaves Staging into the Archived stage too, so what held Production is known by its tag.
    """

    def holder(self, slot: Slot) -> str | None:
        """See `Slots.holder`."""
        if slot is Slot.PREVIOUS:
            model = self._model()
            version = model.tags.get(PREVIOUS_TAG) if model is not None else None
            return version if version is not None and self.exists(version) else None
        held = [entry for entry in self._versions() if entry.current_stage == slot.value.capitalize()]
        return str(held[-1].version) if held else None

    def assign(self, slot: Slot, version: str) -> None:
        """See `Slots.assign`."""
        with explained(f"give {slot.value} to version {version}"):
            if slot is Slot.PREVIOUS:
                self.client.set_registered_model_tag(self.model_name, PREVIOUS_TAG, version)
                return
            with _without_deprecation_warnings():
                self.client.transition_model_version_stage(
                    self.model_name, version, slot.value.capitalize(), archive_existing_versions=True
                )

    def release(self, slot: Slot) -> None:
        """See `Slots.release`."""
        held = self.holder(slot)
        with explained(f"release {slot.value}"), _without_deprecation_warnings():
            if slot is Slot.PREVIOUS:
                self.client.delete_registered_model_tag(self.model_name, PREVIOUS_TAG)
            elif held is not None:
                self.client.transition_model_version_stage(self.model_name, held, "None")

    def uri(self, slot: Slot) -> str:
        """See `Slots.uri`."""
        if slot is Slot.PREVIOUS:
            return f"models:/{self.model_name}/{self.holder(slot)}"
        return f"models:/{self.model_name}/{slot.value.capitalize()}"

    def archive(self, version: str) -> None:
        """See `Slots.archive`; the transition into Production has given it the stage, unless a crash came between."""
        entry = next((entry for entry in self._versions() if str(entry.version) == version), None)
        if entry is not None and entry.current_stage != "Archived":
            with explained(f"archive version {version}"), _without_deprecation_warnings():
                self.client.transition_model_version_stage(self.model_name, version, "Archived")
        super().archive(version)


def open_slots(client: MlflowClient, model_name: str) -> Slots:
    """The slots of a registered model, as the setting `WORKSHOP_SLOTS` says: aliases, or stages.

    Raises:
        WorkshopError: the registry has no slots of that kind, or no models of such a name.
    """
    require_fitting(model_name)
    kind = AliasSlots if current_settings().slots == "alias" else StageSlots
    return kind(client, model_name)


def _fitting(lines: list[str]) -> str:
    """As many of the last lines as a description holds."""
    kept = [line for line in lines if line]
    while len("\n\n".join(kept)) > _LONGEST_DESCRIPTION and len(kept) > 1:
        del kept[0]
    return "\n\n".join(kept)[:_LONGEST_DESCRIPTION]


@contextmanager
def _without_deprecation_warnings() -> Iterator[None]:
    """Whoever asks for stages has been told that they are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
