"""Delta tables: which there are and where, written whole, read at a version, never overwritten in place."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from filelock import FileLock
from pyarrow.lib import ArrowException

from workshop.core.errors import WorkshopError, explain_os_error, first_sentence
from workshop.core.settings import Settings, current_settings, is_mounted

COMMIT_KEY = "workshop"
"""Where, in the record of a table version, what we say of it stands."""


@dataclass(frozen=True)
class Snapshot:
    """The rows of a table at one version."""

    table: str
    version: int
    frame: pd.DataFrame
    source: str = ""
    """The label of the snapshot that these rows were made from; empty where nobody said."""

    @property
    def label(self) -> str:
        """The table's name and version, as in `development@0`."""
        return f"{self.table}@{self.version}"

    @property
    def digest(self) -> str:
        """Tells these rows from any others, whatever the table's name and version."""
        hashes = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


class Opened(Protocol):
    """A table at one version, its rows not yet read."""

    def version(self) -> int:
        """Which version it is."""

    def to_pyarrow_dataset(self) -> Any:
        """The rows as a PyArrow dataset, or as something that has at least its `head`."""


@dataclass(frozen=True)
class Table(ABC):
    """A Delta table by name, wherever it is kept."""

    name: str

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything has been written to it."""

    @abstractmethod
    def open(self, version: int | None = None) -> Opened:
        """The table at `version`, or as it is now.

        Raises:
            WorkshopError: there is no such table or version.
        """

    @abstractmethod
    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str]) -> None:
        """Make `frame` the table's rows, as a new version; the earlier versions stay readable.

        Args:
            frame: the rows; the index is not kept, their order is.
            commit_metadata: what the version's record says of it.

        Raises:
            WorkshopError: it can't be written there.
        """

    @abstractmethod
    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each version with what we said of it, the newest first."""

    @abstractmethod
    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        """The version's number and its rows, in the order in which they were written."""

    def read(self, version: int | None = None) -> Snapshot:
        """All rows at `version`, or as they are now, in the order in which they were written.

        Raises:
            WorkshopError: there is no such table or version, or it is damaged.
        """
        number, rows = self._rows(version)
        return Snapshot(self.name, number, rows, dict(self.records()).get(number, {}).get("source", ""))

    def label_of(self, version: int | None) -> str:
        """The table's name and a version of it, as in `development@0`; the name alone for the newest."""
        return self.name if version is None else f"{self.name}@{version}"

    def said_of_it(self, key: str) -> dict[str, str]:
        """What the record of the newest version says that says anything under `key`; nothing where none does."""
        return next((said for _, said in self.records() if key in said), {})

    def version_of(self, **commit_metadata: str) -> int | None:
        """The newest version whose record says all of `commit_metadata`, or None where none does."""
        return next((version for version, said in self.records() if commit_metadata.items() <= said.items()), None)


@dataclass(frozen=True)
class DeltaFolder(Table):
    """A Delta table in a folder, on a disk or under a Unity Catalog volume's path."""

    path: Path

    def exists(self) -> bool:
        """See `Table.exists`."""
        return DeltaTable.is_deltatable(self.uri, self.storage_options)

    @property
    def uri(self) -> str:
        """Where it is, in the form in which the Delta library takes any folder's name, `#` and `%` included."""
        return self.path.as_uri()

    @property
    def storage_options(self) -> dict[str, str] | None:
        """What the Delta library has to know of the place.

        It commits by a hard link, which fails where there is one already: of two writers one is told. A mounted cloud
        folder has no hard links. There it may rename instead, which replaces silently: nothing but our own lock, which
        is one machine's, keeps two writers of one table apart.
        """
        return {"allow_unsafe_rename": "true"} if is_mounted(self.path) else None

    def open(self, version: int | None = None) -> DeltaTable:
        """See `Table.open`."""
        try:
            return DeltaTable(self.uri, version=version, storage_options=self.storage_options)
        except TableNotFoundError as error:
            raise WorkshopError(f"There is no table {self.name}: write it first.") from error
        except DeltaError as error:
            which = self.label_of(version)
            raise WorkshopError(f"The table {which} can't be read ({first_sentence(error)}): restore it.") from error

    def dataset(self) -> ds.Dataset:
        """The rows as they are now, to be read in parts.

        Raises:
            WorkshopError: there is no such table, or its files alone would give wrong rows, as with deletion vectors.
        """
        try:
            return self.open().to_pyarrow_dataset()
        except DeltaError as error:
            raise WorkshopError(
                f"The table {self.name} can't be read from its files ({first_sentence(error)}): turn that feature off "
                "and rewrite the table."
            ) from error

    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        delta = self.open(version)
        try:
            return int(delta.version()), delta.to_pyarrow_table().to_pandas()
        except (OSError, ArrowException, DeltaError) as error:
            which = self.label_of(delta.version())
            raise WorkshopError(f"The table {which} is damaged ({first_sentence(error)}): restore it.") from error

    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str]) -> None:
        """See `Table.write`."""
        lock = current_settings().lock_file("table-" + self.name.replace("/", "-"))
        try:
            with FileLock(lock):
                self.path.mkdir(parents=True, exist_ok=True)
                write_deltalake(
                    self.uri,
                    pa.Table.from_pandas(frame, preserve_index=False),
                    mode="overwrite",
                    name=self.name,
                    storage_options=self.storage_options,
                    commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: json.dumps(dict(commit_metadata))}),
                )
        except OSError as error:
            raise explain_os_error(error) from error
        except DeltaError as error:
            reason = first_sentence(error)
            raise WorkshopError(
                f"The table {self.name} could not be written to {self.path}, which is as it was: {reason}."
            ) from error

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """See `Table.records`."""
        # Opened as it is now: the library numbers the history of a table that was opened at an earlier version wrongly.
        for commit in self.open().history():
            yield int(commit["version"]), dict(json.loads(str(commit.get(COMMIT_KEY, "{}"))))


def named_table(name: str, settings: Settings | None = None) -> Table:
    """A table of the team's own: by the name of its folder, or in Unity Catalog where `WORKSHOP_TABLES` says so."""
    settings = settings or current_settings()
    if settings.tables:
        from workshop.core.catalog_tables import CatalogTable  # noqa: PLC0415  # it builds on this module

        return CatalogTable(name, settings.tables)
    return DeltaFolder(name, settings.data / name)


def development_table(settings: Settings | None = None) -> Table:
    """The wines to develop models with."""
    return named_table("development", settings)


def production_table(settings: Settings | None = None) -> Table:
    """The wines that production has seen and labelled since; no model may train on them."""
    return named_table("production", settings)


def prepared_table(run_name: str, settings: Settings | None = None) -> Table:
    """The prepared wines of the runs with that name, one table version a run."""
    return named_table(f"prepared/{run_name}", settings)
