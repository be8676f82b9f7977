"""Delta tables in folders, through the Delta library and without Spark."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError
from filelock import FileLock
from pyarrow.lib import ArrowException

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_table import COMMIT_KEY, Table
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings, is_mounted, without_hard_links


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
            raise _unread(self.label_of(version), "can't be read", error) from error

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
            raise _unread(self.label_of(delta.version()), "is damaged", error) from error

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
            if "Unable to rename file" in str(error):  # the library links where it says rename
                raise WorkshopError(without_hard_links(self.path)) from error
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


def _unread(table: str, otherwise: str, error: Exception) -> WorkshopError:
    """Return the sentence for a table that another writer has given features unknown here, or else for a damaged one.

    The first is whole: an earlier version of it would lose rows.
    """
    said = first_sentence(error)
    if isinstance(error, DeltaProtocolError) or "Kernel error: Unsupported" in said:
        return WorkshopError(
            f"The table {table} has features of Delta that can't be read here ({said}): turn them off with what wrote "
            "it, and rewrite the table."
        )
    return WorkshopError(f"The table {table} {otherwise} ({said}): restore it.")
