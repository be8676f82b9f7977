"""Delta tables in folders, through deltalake and without Spark."""

import difflib
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
from typing_extensions import override

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_table import COMMIT_KEY, Table
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings, is_mounted, without_hard_links


@dataclass(frozen=True)
class DeltaFolder(Table):
    """A Delta table in a folder, on a disk or under a Unity Catalog volume's path."""

    path: Path

    @override
    def exists(self) -> bool:
        return DeltaTable.is_deltatable(self.uri, self.storage_options)

    @property
    def uri(self) -> str:
        """The folder as a URI, with which deltalake accepts every name, `#` and `%` included."""
        return self.path.as_uri()

    @property
    def storage_options(self) -> dict[str, str] | None:
        """The options of deltalake for this folder.

        deltalake commits with a hard link, which fails for the second of two writers. Mounted cloud folders have no
        hard links, so there it renames a file, which replaces silently: only the lock file separates two writers of
        a table, and only those on one machine.
        """
        return {"allow_unsafe_rename": "true"} if is_mounted(self.path) else None

    def open(self, version: int | None = None) -> DeltaTable:
        """Open the table at `version`, or at its newest one.

        Raises:
            WorkshopError: the table or the version is missing or damaged.
        """
        try:
            return DeltaTable(self.uri, version=version, storage_options=self.storage_options)
        except TableNotFoundError as error:
            raise WorkshopError(f"The table {self.name} is missing: {self._advice()}") from error
        except DeltaError as error:
            raise _unread(self.label_of(version), "can't be read", error) from error

    def _advice(self) -> str:
        """Return what to do about a missing table: choose one of those beside it, or write it."""
        root = self.path.parents[self.name.count("/")]
        logs = [log for pattern in ("*/_delta_log", "*/*/_delta_log") for log in root.glob(pattern)]
        there = sorted(log.parent.relative_to(root).as_posix() for log in logs)
        named = difflib.get_close_matches(self.name, there, n=1) or there
        return f"write it first, or choose {' or '.join(named)}." if named else "write it first."

    def dataset(self) -> ds.Dataset:
        """Return the newest rows as a dataset, to read in parts.

        Raises:
            WorkshopError: the table is missing, or has features, such as deletion vectors, that its files don't show.
        """
        try:
            return self.open().to_pyarrow_dataset()
        except DeltaError as error:
            raise WorkshopError(
                f"The table {self.name} can't be read from its files ({first_sentence(error)}): turn that feature off "
                "and rewrite the table."
            ) from error

    @override
    def head(self, rows: int) -> pd.DataFrame:
        found: pd.DataFrame = self.dataset().head(rows).to_pandas()
        return found

    @override
    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        delta = self.open(version)
        try:
            return int(delta.version()), delta.to_pyarrow_table().to_pandas()
        except (OSError, ArrowException, DeltaError) as error:
            raise _unread(self.label_of(delta.version()), "is damaged", error) from error

    @override
    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str], *, new_columns: bool = False) -> None:
        lock = current_settings().lock_file("table-" + self.name.replace("/", "-"))
        try:
            with FileLock(lock):
                self.path.mkdir(parents=True, exist_ok=True)
                write_deltalake(
                    self.uri,
                    pa.Table.from_pandas(frame, preserve_index=False),
                    mode="overwrite",
                    schema_mode="overwrite" if new_columns else None,
                    name=self.name,
                    storage_options=self.storage_options,
                    commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: json.dumps(dict(commit_metadata))}),
                )
        except OSError as error:
            if "Unable to rename file" in str(error):  # deltalake's text for a failed link
                raise WorkshopError(without_hard_links(self.path)) from error
            raise explain_os_error(error) from error
        except DeltaError as error:
            reason = first_sentence(error)
            raise WorkshopError(
                f"The table {self.name} could not be written to {self.path}, which is unchanged: {reason}."
            ) from error

    @override
    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        # Open the newest version: deltalake numbers the history of a table at an earlier version wrongly.
        for commit in self.open().history():
            yield int(commit["version"]), dict(json.loads(str(commit.get(COMMIT_KEY, "{}"))))


def _unread(table: str, otherwise: str, error: Exception) -> WorkshopError:
    """Return the error for a table with unknown Delta features, or else for a damaged one.

    A table with unknown features is intact: restoring an earlier version would lose rows.
    """
    reason = first_sentence(error)
    if isinstance(error, DeltaProtocolError) or "Kernel error: Unsupported" in reason:
        return WorkshopError(
            f"The table {table} has Delta features that can't be read here ({reason}): turn them off in the program "
            "that wrote it, and rewrite the table."
        )
    return WorkshopError(f"The table {table} {otherwise} ({reason}): restore it.")
