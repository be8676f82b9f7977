"""What a Delta table is to us, wherever it is kept: written whole, read at a version, never overwritten in place."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

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
