"""Scoring with Spark: the rows are distributed over its workers, each of which loads the model once.

Of a table in a folder, Spark reads the files that deltalake lists; the workers write the predictions as new files, and
one Delta commit adds them to the table. So Spark needs no Delta support, which it would not have for a volume on
Databricks. A table in Unity Catalog is read and appended to by Spark itself.

Both ways are tested with a local Spark, the second on files without a Delta log. Neither has run on Databricks: open
questions are whether workers may write below /Volumes, which depends on the compute, and whether a Delta append
suffices.
"""

import io
import json
import tempfile
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import FEATURES
from workshop.core.data.unity_catalog import CatalogTable, active_session, spark_explained, spark_schema
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.registry.mlflow_store import explained
from workshop.core.registry.model import LoadedModel
from workshop.core.scoring.rows import COLUMNS, PREDICTIONS, require_columns, require_numbers
from workshop.core.scoring.spark_worker import WRITTEN, Scorer
from workshop.core.settings import current_settings, is_mounted

_BYTES_A_NUMBER = 8
_BINS = pa.schema([("bin", pa.int32()), ("rows", pa.int64())])


def session_for(wines: Table) -> Any | None:
    """Return the Spark session to score a table with; None to score it in this process.

    Spark scores tables in Unity Catalog, and tables of `WORKSHOP_SPARK_ROWS` rows or more (unset: more than fit into
    free memory) if a session is active whose workers see the table's folder.

    Raises:
        WorkshopError: the table is in Unity Catalog and no session is active.
    """
    if isinstance(wines, CatalogTable):
        return wines.session
    session = active_session()
    if session is None or not isinstance(wines, DeltaFolder):
        return None
    # Workers on other machines see mounted folders, but not this machine's disk.
    if not is_mounted(wines.path) and not _is_local(session):
        return None
    fewest = current_settings().spark_rows
    if fewest is None:
        fewest = psutil.virtual_memory().available // (len(COLUMNS) * _BYTES_A_NUMBER)
    return session if wines.dataset().count_rows() >= fewest else None


def _is_local(session: Any) -> bool:
    """Return whether all workers are on this machine; False if that is unknown."""
    try:
        with spark_explained("find its workers"):
            return str(session.conf.get("spark.master", "")).startswith("local")
    except WorkshopError:
        return False


def scorer(model: LoadedModel, wines: Table, batch: str, rows_a_batch: int) -> Scorer:
    """Return the object with which workers score that table.

    Raises:
        WorkshopError: the model's files can't be fetched.
    """
    return Scorer(_packed(model), model.version, batch, wines.name, rows_a_batch)


def score(session: Any, wines: Table, predictions: Table, scorer: Scorer) -> int:
    """Score a table and append the predictions to another, as `workshop.core.scoring.score.score` does.

    Returns:
        The number of rows.
    """
    frame = _frame_of(session, wines)
    with spark_explained(f"score the table {wines.name}"):
        if isinstance(predictions, CatalogTable):
            # An append is one Delta commit; it creates the table if it is missing.
            predicted = frame.mapInArrow(scorer.predictions, spark_schema(PREDICTIONS))
            predicted.write.format("delta").mode("append").saveAsTable(predictions.full_name)
            return int(session.table(predictions.full_name).where(_is(scorer.batch)).count())
        if not isinstance(predictions, DeltaFolder):
            raise TypeError(f"{predictions} is neither a folder nor in Unity Catalog")
        return _append_files(frame, scorer, predictions)


def batches_of(predictions: Table) -> list[str]:
    """Return the batches of a table that only Spark can read, oldest first."""
    table = _of_the_catalog(predictions)
    with spark_explained(f"read the table {table.name}"):
        return sorted(row["batch"] for row in table.session.table(table.full_name).select("batch").distinct().collect())


def histogram(predictions: Table, batch: str, bins: int) -> np.ndarray:
    """Count the predictions of a batch in equal bins of [0, 1], for a table that only Spark can read."""
    table = _of_the_catalog(predictions)
    with spark_explained(f"read the table {table.name}"):
        return _histogram(table.session.table(table.full_name).where(_is(batch)), bins)


def _histogram(frame: Any, bins: int) -> np.ndarray:
    """Count on the workers, with the same function as in this process, so that edges belong to the same bins."""

    def count(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            found = np.histogram(part.column("probability"), bins=bins, range=(0, 1))[0]
            yield pa.RecordBatch.from_arrays([np.arange(bins, dtype="int32"), found.astype("int64")], schema=_BINS)

    counts = np.zeros(bins, dtype="int64")
    for row in frame.select("probability").mapInArrow(count, spark_schema(_BINS)).groupBy("bin").sum("rows").collect():
        counts[row["bin"]] = row["sum(rows)"]
    return counts


def _is(batch: str) -> Any:
    return import_module("pyspark.sql.functions").col("batch") == batch


def _of_the_catalog(table: Table) -> CatalogTable:
    if not isinstance(table, CatalogTable):
        raise TypeError(f"{table} is not in Unity Catalog")
    return table


# On the driver


def _packed(model: LoadedModel) -> bytes:
    """Pack the files of a loaded model, which is therefore not a pickle.

    The archive is sent with the function that uses it, which works on every kind of compute, unlike shared folders,
    credentials for the registry and Spark's own ways to send files. It suits models of megabytes, not gigabytes.
    """
    metadata = model.pyfunc.metadata
    uri = f"models:/{metadata.model_id}" if metadata.model_id else f"runs:/{metadata.run_id}/{metadata.artifact_path}"
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, explained(f"fetch the model, version {model.version},"):
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=place))
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                # Without time stamps, so that the same model gives the same bytes.
                if path.is_file():
                    name = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                    archive.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _frame_of(session: Any, wines: Table) -> Any:
    """Return the columns to score as a Spark frame.

    Raises:
        WorkshopError: a column is missing, or the table has features that Spark can't read without Delta.
    """
    if isinstance(wines, CatalogTable):
        with spark_explained(f"read the table {wines.name}"):
            frame = session.table(wines.full_name)
            require_numbers(_arrow_schema(frame), wines.name)
            return frame.select(*COLUMNS)
    if not isinstance(wines, DeltaFolder):
        raise TypeError(f"{wines} is neither a folder nor in Unity Catalog")
    source = wines.dataset()
    require_numbers(source.schema, wines.name)
    with spark_explained(f"read the table {wines.name}"):
        parts = [_part(session, source.schema, files, same) for same, files in _files(source, wines).items()]
        nothing = session.createDataFrame([], spark_schema(_wanted(source.schema)))
        return reduce(lambda left, right: left.unionByName(right), parts) if parts else nothing


def _files(source: ds.Dataset, wines: DeltaFolder) -> dict[tuple[tuple[str, Any], ...], list[str]]:
    """Group the table's files by the values of their partition columns, which the files don't contain."""
    found: dict[tuple[tuple[str, Any], ...], list[str]] = defaultdict(list)
    for fragment in source.get_fragments():
        stored, same = fragment.physical_schema.names, ds.get_partition_keys(fragment.partition_expression)
        require_columns(stored, same, wines.name)
        place = wines.path / fragment.path
        key = tuple((name, same[name]) for name in FEATURES if name not in stored)
        # Spark looks for paths without a scheme in its default file system, which has only mounted folders.
        found[key].append(str(place) if is_mounted(place) else f"file:{place}")
    return found


def _part(session: Any, schema: pa.Schema, files: list[str], same: tuple[tuple[str, Any], ...]) -> Any:
    literal = import_module("pyspark.sql.functions").lit
    known = dict(same)
    stored = pa.schema([field for field in _wanted(schema) if field.name not in known])
    frame = session.read.schema(spark_schema(stored)).parquet(*files)
    for name, value in known.items():
        frame = frame.withColumn(name, literal(float(value)))
    return frame.select(*COLUMNS)


def _wanted(schema: pa.Schema) -> pa.Schema:
    return pa.schema([schema.field(name) for name in COLUMNS])


def _arrow_schema(frame: Any) -> pa.Schema:
    types = {"tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64()}
    types |= {"float": pa.float32(), "double": pa.float64()}
    return pa.schema([(name, types.get(kind, pa.string())) for name, kind in frame.dtypes])


def _append_files(frame: Any, scorer: Scorer, predictions: DeltaFolder) -> int:
    """Let the workers write files into the table's folder, and add the files of all successful tasks in one commit."""
    folder, token = predictions.path, uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error
    with _without_leftovers(predictions, f"part-{token}-*"):
        writing = partial(scorer.files, folder=folder, token=token)
        written = frame.mapInArrow(writing, spark_schema(WRITTEN)).collect()
        _commit(predictions, [_added(folder, row, scorer.batch) for row in written])
    return sum(int(row["rows"]) for row in written)


def _added(folder: Path, row: Any, batch: str) -> AddAction:
    stats = {"numRecords": row["rows"], "minValues": {"batch": batch}, "maxValues": {"batch": batch}}
    changed = int((folder / row["file"]).stat().st_mtime * 1000)
    return AddAction(row["file"], row["bytes"], {}, changed, True, json.dumps({**stats, "nullCount": {"batch": 0}}))


def _commit(predictions: DeltaFolder, added: list[AddAction]) -> None:
    schema = Schema.from_arrow(PREDICTIONS)
    try:
        if not predictions.exists():
            create_table_with_add_actions(
                predictions.uri,
                schema,
                added,
                name=predictions.name,
                storage_options=predictions.storage_options,
            )
        else:
            predictions.open().create_write_transaction([*added], "append", schema)
    except OSError as error:
        raise explain_os_error(error) from error
    except DeltaError as error:
        raise WorkshopError(
            f"The predictions could not be written to {predictions.path}: {first_sentence(error).rstrip('.')}."
        ) from error


@contextmanager
def _without_leftovers(predictions: DeltaFolder, pattern: str) -> Iterator[None]:
    """Remove files that the table does not list: after a failure, or from a task that ran twice."""
    try:
        yield
    finally:
        # Read the table even after an error: the commit may have succeeded before it.
        kept = {Path(uri).name for uri in predictions.open().file_uris()} if predictions.exists() else set()
        for path in predictions.path.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
