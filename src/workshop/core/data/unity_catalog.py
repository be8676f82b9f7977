"""Delta tables in Unity Catalog, through the active Spark session.

This module has never run on Databricks. The order of rows, the names and the conversion of frames are tested with a
local Spark, which has no Delta tables; the SQL is tested against a stand-in that refuses other statements.
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
from typing_extensions import override

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_table import COMMIT_KEY, Table
from workshop.core.errors import WorkshopError

ROW = "_row"
"""The column with each row's position: Spark returns rows in any order, and splits and digests depend on it."""
_KEPT_FOREVER = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
"""Unity Catalog deletes old versions after a week by default, and a replay needs the rows of its decision."""
_PLAIN_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*(/[a-z0-9]+(_[a-z0-9]+)*)?")
_WORKSHOP_ERROR = re.compile(r"workshop\.core\.errors\.WorkshopError: (.+)")
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
    """Return the Spark session of this process, or None."""
    # Without an imported pyspark there is no session, and importing it takes seconds.
    if "pyspark" not in sys.modules:
        return None
    return import_module("pyspark.sql").SparkSession.getActiveSession()


@contextmanager
def spark_explained(doing: str) -> Iterator[None]:
    """Turn an error of Spark into one sentence.

    Args:
        doing: the action, as in `read the table production`.

    Raises:
        WorkshopError: instead of Spark's error; with the message of a worker's `WorkshopError`, if there is one.
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
    """Return a unique name for Unity Catalog and the old metastore, without `.`, `/` and `-`."""
    if _PLAIN_NAME.fullmatch(name):
        return name.replace("/", "__")
    return re.sub(r"[^a-z0-9]+", "_", name.lower()) + "_" + hashlib.sha256(name.encode()).hexdigest()[:8]


def spark_schema(schema: pa.Schema) -> str:
    """Return the schema in Spark's notation.

    Raises:
        WorkshopError: a column has a type that the kit's tables don't have.
    """
    if foreign := [field for field in schema if str(field.type) not in _SPARK_TYPES]:
        raise WorkshopError(
            f"The column {foreign[0].name} holds {foreign[0].type}, and tables hold numbers and text: convert it."
        )
    return ", ".join(f"`{field.name}` {_SPARK_TYPES[str(field.type)]}" for field in schema)


def in_written_order(source: str, columns: list[str]) -> str:
    """Return the query for all rows of `source` in the order in which they were written.

    Rows that another program has added have no position: they come last, ordered by their values.
    """
    keys = [ROW] * (ROW in columns) + [name for name in columns if name != ROW]
    return f"SELECT * FROM {source} ORDER BY {', '.join(f'`{name}` ASC NULLS LAST' for name in keys)}"


def numbered(session: Any, frame: pd.DataFrame) -> Any:
    """Return the rows as a Spark frame, each with its position."""
    rows = frame.reset_index(drop=True).assign(**{ROW: np.arange(len(frame), dtype="int64")})
    return session.createDataFrame(rows, spark_schema(pa.Schema.from_pandas(rows, preserve_index=False)))


@dataclass(frozen=True)
class CatalogTable(Table):
    """A Delta table in Unity Catalog."""

    place: str
    """Catalog and schema, as in `main.wines`."""

    @property
    def full_name(self) -> str:
        """The table's name in SQL."""
        return ".".join(f"`{part}`" for part in [*self.place.split("."), catalog_name(self.name)])

    @property
    def session(self) -> Any:
        """The Spark session that reads and writes the table.

        Raises:
            WorkshopError: no session is active.
        """
        session = active_session()
        if session is None:
            raise WorkshopError(
                f"The table {self.name} is in Unity Catalog ({self.place}) and no Spark session is active here: run "
                "this on Databricks, or unset WORKSHOP_TABLES to keep tables in folders."
            )
        return session

    @override
    def exists(self) -> bool:
        with spark_explained(f"look for the table {self.name} in {self.place}"):
            return bool(self.session.catalog.tableExists(self.full_name))

    @override
    def head(self, rows: int) -> pd.DataFrame:
        source = self._source(self.newest_version())
        with spark_explained(f"read the table {self.name}"):
            found: pd.DataFrame = self.session.sql(f"SELECT * FROM {source} LIMIT {rows}").toPandas()
        return found

    @override
    def _rows(self, version: int | None) -> tuple[int, pd.DataFrame]:
        versions = [number for number, _ in self.records()]
        number = versions[0] if version is None else version
        if number not in versions:
            raise WorkshopError(
                f"The table {self.label_of(number)} is missing: choose a version from {versions[-1]} to {versions[0]}."
            )
        source = self._source(number)
        with spark_explained(f"read the table {self.label_of(number)}"):
            columns = self.session.sql(f"SELECT * FROM {source} LIMIT 0").columns
            rows = self.session.sql(in_written_order(source, columns)).toPandas()
        return number, rows.drop(columns=ROW, errors="ignore")

    def _source(self, version: int) -> str:
        """Return the table at a version in SQL."""
        return f"{self.full_name} VERSION AS OF {version}"

    @override
    def write(self, frame: pd.DataFrame, commit_metadata: Mapping[str, str], *, new_columns: bool = False) -> None:
        properties = {} if self.exists() else _KEPT_FOREVER
        with spark_explained(f"write the table {self.name} in {self.place}"):
            writer = numbered(self.session, frame).write.format("delta").mode("overwrite")
            metadata = json.dumps({COMMIT_KEY: dict(commit_metadata)})
            options = {"userMetadata": metadata, **properties}
            if new_columns:
                options["overwriteSchema"] = "true"
            writer.options(**options).saveAsTable(self.full_name)

    @override
    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        if not self.exists():
            raise WorkshopError(f"The table {self.name} is missing in {self.place}: write it first.")
        with spark_explained(f"read the history of the table {self.name}"):
            commits = self.session.sql(f"DESCRIBE HISTORY {self.full_name}").collect()
        for commit in sorted(commits, key=lambda commit: int(commit["version"]), reverse=True):
            yield int(commit["version"]), _commit_metadata(commit["userMetadata"])


def _commit_metadata(written: str | None) -> dict[str, str]:
    """Return the kit's metadata of a commit; empty for a commit of another program."""
    try:
        record = json.loads(written or "{}")
    except ValueError:
        return {}
    metadata = record.get(COMMIT_KEY, {}) if isinstance(record, dict) else {}
    return dict(metadata) if isinstance(metadata, dict) else {}


def _in_one_sentence(doing: str, error: Exception) -> str:
    """Turn an error of Spark, whose text may contain a worker's traceback, into a sentence."""
    text = str(error)
    if own := _WORKSHOP_ERROR.search(text):
        return own[1].strip()
    if missing := _MISSING_MODULE.search(text):
        return (
            f"Spark could not {doing}: its workers' Python has no module {missing[1]}; install the packages there, or "
            "set PYSPARK_PYTHON to this Python."
        )
    in_workers = _WORKERS_ERROR.findall(text)
    reason = first_sentence(ValueError(in_workers[-1])) if in_workers else first_sentence(error)
    return f"Spark could not {doing} ({type(error).__name__}: {reason.rstrip('.')}): see Spark's log."
