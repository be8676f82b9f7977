"""Tables kept in Unity Catalog, through the Spark session that is active: the other place beside folders.

Nothing here has ever run on Databricks. The order of rows, the names and the conversion of frames are tested with a
local Spark, which has no Delta tables; the statements are tested against a stand-in that refuses any other.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_table import COMMIT_KEY, Table
from workshop.core.errors import WorkshopError

ROW = "_row"
"""The column that holds each row's place: Spark gives rows back in any order, and splits and digests depend on it."""
_KEPT_FOREVER = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
"""Unity Catalog removes old versions after a week by itself, and a decision is replayed on the rows that it was made
on."""
_PLAIN_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*(/[a-z0-9]+(_[a-z0-9]+)*)?")
_OUR_ERROR = re.compile(r"workshop\.core\.errors\.WorkshopError: (.+)")
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_WORKERS_ERROR = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception): .+)$", re.MULTILINE)
_SPARK_TYPES = {
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "bool": "boolean",
    "string": "string",
    "large_string": "string",
}


def active_session() -> Any | None:
    """The Spark session of this process, or None. Where nobody has imported Spark there is none, so neither do we."""
    if "pyspark" not in sys.modules:
        return None
    return import_module("pyspark.sql").SparkSession.getActiveSession()


@contextmanager
def spark_explained(doing: str) -> Iterator[None]:
    """Turn what Spark raises inside into one sentence.

    Args:
        doing: what was being done, as in `read the table production`.

    Raises:
        WorkshopError: instead of Spark's own error; with the sentence of ours that a worker has ended with, if any.
    """
    try:
        yield
    except WorkshopError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise WorkshopError(_in_one_sentence(doing, error)) from error


def catalog_name(name: str) -> str:
    """A name that Unity Catalog and the old metastore take, without `.`, `/` and `-`; no two names become one."""
    if _PLAIN_NAME.fullmatch(name):
        return name.replace("/", "__")
    return re.sub(r"[^a-z0-9]+", "_", name.lower()) + "_" + hashlib.sha256(name.encode()).hexdigest()[:8]


def spark_schema(schema: pa.Schema) -> str:
    """The same columns as Spark writes them.

    Raises:
        WorkshopError: one has a type that our tables don't have.
    """
    if foreign := [field for field in schema if str(field.type) not in _SPARK_TYPES]:
        raise WorkshopError(
            f"The column {foreign[0].name} holds {foreign[0].type}, and tables hold numbers and text: convert it."
        )
    return ", ".join(f"`{field.name}` {_SPARK_TYPES[str(field.type)]}" for field in schema)


def in_written_order(source: str, columns: list[str]) -> str:
    """The query for all rows of `source` in the order in which they were written.

    Rows that somebody else has added know no place; they come last, in an order that depends on nothing but them.
    """
    keys = [ROW] * (ROW in columns) + [name for name in columns if name != ROW]
    return f"SELECT * FROM {source} ORDER BY {', '.join(f'`{name}` ASC NULLS LAST' for name in keys)}"


def numbered(session: Any, frame: pd.DataFrame) -> Any:
    """The rows as a Spark frame, each with its place."""
    rows = frame.reset_index(drop=True).assign(**{ROW: np.arange(len(frame), dtype="int64")})
    return session.createDataFrame(rows, spark_schema(pa.Schema.from_pandas(rows, preserve_index=False)))


@dataclass(frozen=True)
class CatalogTable(Table):
    """A Delta table in Unity Catalog."""

    place: str
    """Catalog and schema, as in `main.wines`."""

    @property
    def full_name(self) -> str:
        """Its name in SQL."""
        return ".".join(f"`{part}`" for part in [*self.place.split("."), catalog_name(self.name)])

    @property
    def session(self) -> Any:
        """The Spark session through which it is read and written.

        Raises:
            WorkshopError: none is active.
        """
        session = active_session()
        if session is None:
            raise WorkshopError(
                f"The table {self.name} is in Unity Catalog ({self.place}) and no Spark session is active here: run "
                "this on Databricks, or unset WORKSHOP_TABLES to keep tables in folders."
            )
        return session

    def exists(self) -> bool:
        """See `Table.exists`."""
        with spark_explained(f"look for the table {self.name} in {self.place}"):
            return bool(self.session.catalog.tableExists(self.full_name))

    def open(self, version: int | None = None) -> "CatalogVersion":
        """See `Table.open`."""
        versions = [number for number, _ in self.records()]
        if version is not None and version not in versions:
            raise WorkshopError(
                f"The table {self.label_of(version)} is not there: it has {versions[-1]}–{versions[0]}."
            )
        return CatalogVersion(self, versions[0] if version is None else version)

    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        opened = self.open(version)
        with spark_explained(f"read the table {self.label_of(opened.number)}"):
            columns = self.session.sql(f"SELECT * FROM {opened.source} LIMIT 0").columns
            rows = self.session.sql(in_written_order(opened.source, columns)).toPandas()
        return opened.number, rows.drop(columns=ROW, errors="ignore")

    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str]) -> None:
        """See `Table.write`."""
        properties = {} if self.exists() else _KEPT_FOREVER
        with spark_explained(f"write the table {self.name} in {self.place}"):
            writer = numbered(self.session, frame).write.format("delta").mode("overwrite")
            options = {"userMetadata": json.dumps({COMMIT_KEY: dict(commit_metadata)}), **properties}
            writer.options(**options).saveAsTable(self.full_name)

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """See `Table.records`."""
        if not self.exists():
            raise WorkshopError(f"There is no table {self.name} in {self.place}: write it first.")
        with spark_explained(f"read the history of the table {self.name}"):
            commits = self.session.sql(f"DESCRIBE HISTORY {self.full_name}").collect()
        for commit in sorted(commits, key=lambda commit: int(commit["version"]), reverse=True):
            yield int(commit["version"]), _commit_metadata(commit["userMetadata"])


@dataclass(frozen=True)
class CatalogVersion:
    """A table in Unity Catalog at one version."""

    table: CatalogTable
    number: int

    @property
    def source(self) -> str:
        """It in SQL."""
        return f"{self.table.full_name} VERSION AS OF {self.number}"

    def version(self) -> int:
        """Which version it is."""
        return self.number

    def to_pyarrow_dataset(self) -> "CatalogVersion":
        """Itself: there is no PyArrow dataset of a table that only Spark can read, but there is its head."""
        return self

    def head(self, rows: int) -> pa.Table:
        """Some of its rows, as many as asked for if it has them."""
        with spark_explained(f"read the table {self.table.name}"):
            frame = self.table.session.sql(f"SELECT * FROM {self.source} LIMIT {rows}").toPandas()
        return pa.Table.from_pandas(frame, preserve_index=False)


def _commit_metadata(said: str | None) -> dict[str, str]:
    """What we said of a commit; nothing where somebody else made it, whatever they said."""
    try:
        record = json.loads(said or "{}")
    except ValueError:
        return {}
    ours = record.get(COMMIT_KEY, {}) if isinstance(record, dict) else {}
    return dict(ours) if isinstance(ours, dict) else {}


def _in_one_sentence(doing: str, error: Exception) -> str:
    """What a person can do about an error of Spark's, in whose text a worker's own traceback may be."""
    said = str(error)
    if ours := _OUR_ERROR.search(said):
        return ours[1].strip()
    if missing := _MISSING_MODULE.search(said):
        return (
            f"Spark could not {doing}: its workers' Python has no module {missing[1]}; install there what is installed "
            "here, or let PYSPARK_PYTHON name this Python."
        )
    in_workers = _WORKERS_ERROR.findall(said)
    reason = first_sentence(ValueError(in_workers[-1])) if in_workers else first_sentence(error)
    return f"Spark could not {doing} ({type(error).__name__}: {reason.rstrip('.')}): see its own log."
