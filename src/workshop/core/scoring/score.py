"""Scoring of a table of any size with the model in a slot, one batch of rows at a time.

`workshop.core.scoring.spark` scores with Spark's workers if a session is active and the table is in Unity Catalog or
larger than this machine's memory.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from kit_common.sanitize import first_sentence
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import FEATURES, WINE_ID
from workshop.core.data.tables import named_table
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, Slots
from workshop.core.scoring import spark
from workshop.core.scoring.rows import COLUMNS, PREDICTIONS, predict, require_columns, require_ids, require_numbers

ROWS_A_BATCH = 65_536
HISTOGRAM_BINS = 33
"""Chosen so that the probabilities of a forest of ten trees don't lie on the edges of bins."""
_BATCHES_AHEAD = 2
_READ_AHEAD_BYTES = 65_536


@dataclass(frozen=True)
class Scored:
    """The result of a scoring."""

    batch: str
    rows: int
    model_version: str
    predictions: Table


def predictions_table(run_name: str) -> Table:
    """Return the table of predictions of the runs with that name."""
    return named_table(f"predictions/{run_name}")


def load_slot(slots: Slots, slot: str = "") -> LoadedModel:
    """Load the model that holds the slot.

    Args:
        slots: of the registered model.
        slot: `production` or `staging`; empty for Production, or for Staging until the first promotion.

    Raises:
        WorkshopError: the slot is empty.
    """
    wanted = [Slot(slot)] if slot else [Slot.PRODUCTION, Slot.STAGING]
    for each in wanted:
        version = slots.holder(each)
        if version is not None:
            return load_version(slots.client, slots.model_name, version)
    raise WorkshopError(
        f"No version of {slots.model_name} holds {' or '.join(each.value.capitalize() for each in wanted)}: "
        "run the notebook part_1_3_evaluating first (`workshop run --action deployment` promotes)."
    )


def score(model: LoadedModel, wines: Table, predictions: Table, rows_a_batch: int = ROWS_A_BATCH) -> Scored:
    """Score every row of a table and append the predictions to another, in memory that does not grow with the rows.

    The append is one commit: a reader sees the whole batch or nothing of it. The predictions are the same to the bit
    here and on Spark, provided that the model's answer to a wine depends on that wine alone.

    Raises:
        WorkshopError: a table or a column is missing, the model does not answer with probabilities, the disk is full,
            or Spark fails.
    """
    batch = datetime.now(UTC).isoformat(timespec="milliseconds")
    session = spark.session_for(wines)
    if session is not None:
        rows = spark.score(session, wines, predictions, spark.scorer(model, wines, batch, rows_a_batch))
    elif isinstance(wines, DeltaFolder) and isinstance(predictions, DeltaFolder):
        rows = _score_here(model, wines, predictions, batch, rows_a_batch)
    else:
        raise WorkshopError(
            f"The table {wines.name} is in a folder and {predictions.name} is not: move both to the same place."
        )
    return Scored(batch, rows, model.version, predictions)


def batches_of(predictions: Table) -> list[str]:
    """Return the batches of a predictions table, oldest first."""
    if not isinstance(predictions, DeltaFolder):
        return spark.batches_of(predictions)
    found: set[str] = set()
    for part in predictions.dataset().to_batches(columns=["batch"]):
        found.update(part.column("batch").unique().to_pylist())
    return sorted(found)


def histogram(predictions: Table, batch: str) -> np.ndarray:
    """Count the predictions of a batch in `HISTOGRAM_BINS` equal bins of [0, 1]."""
    if not isinstance(predictions, DeltaFolder):
        return spark.histogram(predictions, batch, HISTOGRAM_BINS)
    rows = predictions.dataset().to_batches(columns=["probability"], filter=pa.compute.field("batch") == batch)
    counts = np.zeros(HISTOGRAM_BINS, dtype="int64")
    for part in rows:
        counts += np.histogram(part.column("probability"), bins=HISTOGRAM_BINS, range=(0, 1))[0]
    return counts


def _score_here(model: LoadedModel, wines: DeltaFolder, predictions: DeltaFolder, batch: str, rows_a_batch: int) -> int:
    """Score in this process and return the number of rows; reading, predicting and writing overlap."""
    source = wines.dataset()
    require_numbers(source.schema, wines.name)
    stream = _Stream(_predicted(model, _read(source, wines, rows_a_batch), batch))
    try:
        predictions.path.mkdir(parents=True, exist_ok=True)
        write_deltalake(
            predictions.uri,
            pa.RecordBatchReader.from_batches(PREDICTIONS, stream),
            mode="append",
            name=predictions.name,
            storage_options=predictions.storage_options,
            writer_properties=WriterProperties(max_row_group_size=rows_a_batch),
        )
    except OSError as error:
        raise explain_os_error(error) from error
    except DeltaError as error:
        if stream.error is not None:
            raise stream.error from error
        raise WorkshopError(
            f"The predictions could not be written to {predictions.path}: {first_sentence(error)}."
        ) from error
    return stream.rows


def _read(source: ds.Dataset, wines: Table, rows_a_batch: int) -> Iterator[tuple[pa.Array, pd.DataFrame]]:
    """Read the ids and the features of the wines in batches.

    A few pages are decoded at a time; the dataset's own scanner would decode two whole row groups.
    """
    for fragment in source.get_fragments():
        # With pre_buffer the whole file would be read before the first row.
        with fragment.open() as file, pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD_BYTES) as parquet:
            stored = [name for name in COLUMNS if name in parquet.schema_arrow.names]
            # Partition columns are not in the files; each is constant within a file.
            partitioned = ds.get_partition_keys(fragment.partition_expression)
            require_columns(stored, partitioned, wines.name)
            for rows in parquet.iter_batches(rows_a_batch, columns=stored, use_threads=False):
                require_ids(rows.column(WINE_ID), wines.name)
                features = rows.select([name for name in FEATURES if name in stored]).to_pandas()
                for name in set(FEATURES).difference(stored):
                    features[name] = float(partitioned[name])
                yield rows.column(WINE_ID), features[FEATURES]


def _predicted(
    model: LoadedModel, batches: Iterator[tuple[pa.Array, pd.DataFrame]], batch: str
) -> Iterator[pa.RecordBatch]:
    """Predict batch by batch, in order, while further batches are read and written.

    Only one thread predicts, since scikit-learn changes the process's warning filters meanwhile. Reading has a thread
    of its own, since deltalake requests batches on a thread from which it can't be called again.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as predictor:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        while (rows := reader.submit(next, batches, None).result()) is not None:
            waiting.append(predictor.submit(predict, model, *rows, batch))
            if len(waiting) > _BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Stream:
    """A stream of batches that counts its rows and keeps an error, which deltalake would hide in its own message."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0
        self.error: WorkshopError | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                yield batch
        except WorkshopError as error:
            self.error = error
            raise
