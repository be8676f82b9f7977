"""Delta tables: which there are and where, written whole, read at a version, never overwritten in place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from filelock import FileLock
from pyarrow.lib import ArrowException

from workshop.core.errors import WorkshopError, explain_os_error, first_sentence
from workshop.core.settings import Settings, current_settings

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


@dataclass(frozen=True)
class Table:
    """A Delta table by name and place."""

    name: str
    path: Path

    def exists(self) -> bool:
        """Whether anything has been written to it."""
        return DeltaTable.is_deltatable(self.uri)

    @property
    def uri(self) -> str:
        """Where it is, in the form in which the Delta library takes any folder's name, `#` and `%` included."""
        return self.path.as_uri()

    def open(self, version: int | None = None) -> DeltaTable:
        """The table at `version`, or as it is now.

        Raises:
            WorkshopError: there is no such table or version.
        """
        try:
            return DeltaTable(self.uri, version=version)
        except TableNotFoundError as error:
            raise WorkshopError(f"There is no table {self.name}: write it first.") from error
        except DeltaError as error:
            which = self.label_of(version)
            raise WorkshopError(f"The table {which} can't be read ({first_sentence(error)}): restore it.") from error

    def read(self, version: int | None = None) -> Snapshot:
        """All rows at `version`, or as they are now, in the order in which they were written."""
        delta = self.open(version)
        try:
            rows = delta.to_pyarrow_table().to_pandas()
        except (OSError, ArrowException, DeltaError) as error:
            which = self.label_of(delta.version())
            raise WorkshopError(f"The table {which} is damaged ({first_sentence(error)}): restore it.") from error
        # Opened anew: the library numbers the history of a table that was opened at an earlier version wrongly.
        commit = next(commit for commit in self.open().history() if commit["version"] == delta.version())
        return Snapshot(self.name, delta.version(), rows, _commit_metadata(commit).get("source", ""))

    def label_of(self, version: int | None) -> str:
        """The table's name and a version of it, as in `development@0`; the name alone for the newest."""
        return self.name if version is None else f"{self.name}@{version}"

    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str]) -> None:
        """Make `frame` the table's rows, as a new version; the earlier versions stay readable.

        Args:
            frame: the rows; the index is not kept.
            commit_metadata: what the version's record says of it.

        Raises:
            WorkshopError: the disk is full or the folder may not be written to.
        """
        lock = current_settings().lock_file("table-" + self.name.replace("/", "-"))
        try:
            with FileLock(lock):
                self.path.mkdir(parents=True, exist_ok=True)
                write_deltalake(
                    self.uri,
                    pa.Table.from_pandas(frame, preserve_index=False),
                    mode="overwrite",
                    name=self.name,
                    commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: json.dumps(dict(commit_metadata))}),
                )
        except OSError as error:
            raise explain_os_error(error) from error
        except DeltaError as error:
            reason = first_sentence(error)
            raise WorkshopError(
                f"The table {self.name} could not be written to {self.path}, which is as it was: {reason}."
            ) from error

    def said_of_it(self, key: str) -> dict[str, str]:
        """What the record of the newest version says that says anything under `key`; nothing where none does."""
        records = (_commit_metadata(commit) for commit in self.open().history())
        return next((record for record in records if key in record), {})

    def version_of(self, **commit_metadata: str) -> int | None:
        """The newest version whose record says all of `commit_metadata`, or None where none does."""
        for commit in self.open().history():
            if commit_metadata.items() <= _commit_metadata(commit).items():
                return int(commit["version"])
        return None


def named_table(name: str, settings: Settings | None = None) -> Table:
    """A table of the team's own, by the name of its folder."""
    return Table(name, (settings or current_settings()).data / name)


def development_table(settings: Settings | None = None) -> Table:
    """The wines to develop models with."""
    return named_table("development", settings)


def production_table(settings: Settings | None = None) -> Table:
    """The wines that production has seen and labelled since; no model may train on them."""
    return named_table("production", settings)


def prepared_table(run_name: str, settings: Settings | None = None) -> Table:
    """The prepared wines of the runs with that name, one table version a run."""
    return named_table(f"prepared/{run_name}", settings)


def _commit_metadata(commit: Mapping[str, object]) -> dict[str, str]:
    return dict(json.loads(str(commit.get(COMMIT_KEY, "{}"))))
