"""The code on Spark's workers: predict rows with a model that each process loads once."""

import hashlib
import io
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq

from workshop.core.data.schemas import FEATURES, WINE_ID
from workshop.core.errors import explain_os_error
from workshop.core.registry.model import LoadedModel
from workshop.core.scoring.rows import PREDICTIONS, predict, require_ids

WRITTEN = pa.schema([("file", pa.string()), ("bytes", pa.int64()), ("rows", pa.int64())])
"""A worker's record of a file that it has written: name, size and number of predictions."""

_loaded: dict[str, LoadedModel] = {}
"""The model of this process by digest and version; Spark reuses processes."""


@dataclass(frozen=True)
class Scorer:
    """The model and settings of a worker."""

    archive: bytes
    version: str
    batch: str
    table: str
    rows_a_batch: int

    def predictions(self, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Predict the rows of this worker."""
        for rows in _regrouped(parts, self.rows_a_batch):
            ids = rows.column(WINE_ID).combine_chunks()
            require_ids(ids, self.table)
            yield predict(self._model(), ids, rows.select(FEATURES).to_pandas(), self.batch)

    def files(self, parts: Iterator[pa.RecordBatch], folder: Path, token: str) -> Iterator[pa.RecordBatch]:
        """Write the predictions to a file of this task, and yield its record unless it is empty."""
        path, rows, writer = folder / f"part-{token}-{uuid.uuid4().hex}.parquet", 0, None
        try:
            for predicted in self.predictions(parts):
                writer = writer or pq.ParquetWriter(path, PREDICTIONS)
                writer.write_batch(predicted, row_group_size=self.rows_a_batch)
                rows += predicted.num_rows
        except OSError as error:
            raise explain_os_error(error) from error
        finally:
            if writer is not None:
                writer.close()
        if rows:
            yield pa.RecordBatch.from_pylist(
                [{"file": path.name, "bytes": path.stat().st_size, "rows": rows}], schema=WRITTEN
            )

    def _model(self) -> LoadedModel:
        key = f"{hashlib.sha256(self.archive).hexdigest()} {self.version}"
        if key not in _loaded:
            # Workers end without cleaning up, so the files are removed once they are read.
            with tempfile.TemporaryDirectory() as folder:
                with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
                    archive.extractall(folder)
                _loaded.clear()
                _loaded[key] = LoadedModel(self.version, "", mlflow.pyfunc.load_model(folder))
        return _loaded[key]


def _regrouped(parts: Iterator[pa.RecordBatch], rows_a_batch: int) -> Iterator[pa.Table]:
    """Regroup rows into larger batches: Spark's are small, and each costs a call of the model."""
    waiting: list[pa.RecordBatch] = []
    for part in parts:
        waiting.append(part)
        if sum(each.num_rows for each in waiting) >= rows_a_batch:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if sum(each.num_rows for each in waiting):
        yield pa.Table.from_batches(waiting)
