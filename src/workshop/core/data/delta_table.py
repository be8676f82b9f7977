"""The interface of a Delta table: written whole, read at a version, never overwritten in place."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

COMMIT_KEY = "workshop"
"""The key of the kit's metadata in the commit of a table version."""


@dataclass(frozen=True)
class Snapshot:
    """The rows of a table at one version."""

    table: str
    version: int
    frame: pd.DataFrame
    source: str = ""
    """The label of the snapshot that these rows were made from; empty if unknown."""

    @property
    def label(self) -> str:
        """The table's name and version, as in `development@0`."""
        return f"{self.table}@{self.version}"

    @property
    def digest(self) -> str:
        """A digest of the rows, independent of the table's name and version."""
        hashes = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Table(ABC):
    """A Delta table by name, in a folder or in Unity Catalog."""

    name: str

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the table has been written."""

    @abstractmethod
    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str], *, new_columns: bool = False) -> None:
        """Make `frame` the table's rows, as a new version; the earlier versions stay readable.

        Args:
            frame: the rows; their order is kept, the index is not.
            commit_metadata: stored in the commit of the new version.
            new_columns: whether the columns may differ from those of the newest version.

        Raises:
            WorkshopError: the table can't be written.
        """

    @abstractmethod
    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Iterate over the versions and their commit metadata, newest first."""

    @abstractmethod
    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        """Return the version's number and its rows, in the order in which they were written."""

    @abstractmethod
    def head(self, rows: int) -> pd.DataFrame:
        """Return up to `rows` of the newest rows, without reading the others.

        Raises:
            WorkshopError: the table is missing.
        """

    def newest_version(self) -> int:
        """Return the number of the newest version.

        Raises:
            WorkshopError: the table is missing.
        """
        return next(number for number, _ in self.records())

    def read(self, version: int | None = None) -> Snapshot:
        """Read all rows at `version`, or at the newest one, in the order in which they were written.

        Raises:
            WorkshopError: the table or the version is missing or damaged.
        """
        number, rows = self._rows(version)
        return Snapshot(self.name, number, rows, dict(self.records()).get(number, {}).get("source", ""))

    def label_of(self, version: int | None) -> str:
        """Return the table's name with a version, as in `development@0`; the name alone for the newest."""
        return self.name if version is None else f"{self.name}@{version}"

    def metadata_with(self, key: str) -> dict[str, str]:
        """Return the commit metadata of the newest version that has `key`; empty if no version has it."""
        return next((metadata for _, metadata in self.records() if key in metadata), {})

    def version_of(self, **commit_metadata: str) -> int | None:
        """Return the newest version whose metadata contains all of `commit_metadata`, or None."""
        return next((number for number, found in self.records() if commit_metadata.items() <= found.items()), None)
