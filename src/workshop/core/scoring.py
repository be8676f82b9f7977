"""Scoring a table of any size with the model that holds a slot, a batch of rows at a time."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.model import LoadedModel, load_version
from workshop.core.schemas import FEATURES, WINE_ID
from workshop.core.slots import Slot, Slots
from workshop.core.tables import Table, named_table

ROWS_A_BATCH = 65_536
HISTOGRAM_BINS = 40
PREDICTIONS = pa.schema(
    [
        (WINE_ID, pa.int64()),
        ("probability", pa.float64()),
        ("model_version", pa.string()),
        ("batch", pa.string()),
    ]
)
"""One row a scored wine: who it is, what was said of it, by which version, and in which batch."""


@dataclass(frozen=True)
class Scored:
    """What a scoring has done."""

    batch: str
    rows: int
    model_version: str
    predictions: Table


def predictions_table(run_name: str) -> Table:
    """The predictions of the runs with that name, all batches."""
    return named_table(f"predictions/{run_name}")


def load_slot(slots: Slots, slot: str = "") -> LoadedModel:
    """Load whatever holds the slot.

    Args:
        slots: of the registered model.
        slot: `production` or `staging`; empty for Production, or Staging as long as nothing was ever promoted.

    Raises:
        WorkshopError: nothing holds it.
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

    Reading, predicting and writing overlap. The append is one commit: whoever reads the predictions sees the whole
    batch or nothing of it.

    Raises:
        WorkshopError: a table or a column is missing, or the disk is full.
    """
    batch = datetime.now(UTC).isoformat(timespec="milliseconds")
    source = wines.open().to_pyarrow_dataset()
    if missing := [name for name in (WINE_ID, *FEATURES) if name not in source.schema.names]:
        raise WorkshopError(f"The table {wines.name} lacks the column {missing[0]}: it can't be scored without it.")
    # Read a little ahead, not the whole table: that is what keeps memory where it is.
    batches = source.to_batches(
        columns=[WINE_ID, *FEATURES], batch_size=rows_a_batch, batch_readahead=2, fragment_readahead=1
    )
    counted = _Count()
    stream = pa.RecordBatchReader.from_batches(PREDICTIONS, counted.rows_of(_predicted(model, batches, batch)))
    try:
        Path(predictions.path).parent.mkdir(parents=True, exist_ok=True)
        write_deltalake(
            str(predictions.path),
            stream,
            mode="append",
            name=predictions.name,
            writer_properties=WriterProperties(max_row_group_size=rows_a_batch),
        )
    except OSError as error:
        raise explain_os_error(error) from error
    except DeltaError as error:
        raise WorkshopError(f"The predictions could not be written to {predictions.path}: {error}.") from error
    return Scored(batch, counted.rows, model.version, predictions)


def batches_of(predictions: Table) -> list[str]:
    """The batches that a predictions table holds, oldest first."""
    column = predictions.open().to_pyarrow_dataset().to_table(columns=["batch"])["batch"]
    return sorted(column.unique().to_pylist())


def histogram(predictions: Table, batch: str) -> np.ndarray:
    """How many predictions of a batch fall into each of `HISTOGRAM_BINS` equal parts of [0, 1]."""
    rows = (
        predictions.open()
        .to_pyarrow_dataset()
        .to_batches(columns=["probability"], filter=pa.compute.field("batch") == batch)
    )
    counts = np.zeros(HISTOGRAM_BINS, dtype="int64")
    for part in rows:
        counts += np.histogram(part.column("probability"), bins=HISTOGRAM_BINS, range=(0, 1))[0]
    return counts


def _predicted(model: LoadedModel, batches: Iterator[pa.RecordBatch], batch: str) -> Iterator[pa.RecordBatch]:
    """Predict batch by batch, in order, on every core, with at most one batch a core waiting."""

    def predict(rows: pa.RecordBatch) -> pa.RecordBatch:
        frame = rows.select(FEATURES).to_pandas()
        columns = [
            rows.column(WINE_ID),
            pa.array(model.probabilities(frame)),
            pa.repeat(model.version, rows.num_rows),
            pa.repeat(batch, rows.num_rows),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=PREDICTIONS)

    workers = os.cpu_count() or 1
    # The writer asks for batches on a thread of the Delta library's runtime, from which the library can't be called
    # again: reading, which calls it, has a thread of its own.
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        while (rows := reader.submit(next, batches, None).result()) is not None:
            if rows.num_rows:
                waiting.append(pool.submit(predict, rows))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Count:
    """Counts the rows that pass."""

    def __init__(self) -> None:
        self.rows = 0

    def rows_of(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.rows += batch.num_rows
            yield batch
