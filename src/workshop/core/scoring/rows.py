"""What scoring reads and writes, row by row; the same whether this process does it or Spark's workers do."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from workshop.core.data.schemas import FEATURES, WINE_ID
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel, require_probabilities

COLUMNS = [WINE_ID, *FEATURES]
"""What is read of the table that is scored."""
PREDICTIONS = pa.schema(
    [
        (WINE_ID, pa.int64()),
        ("probability", pa.float64()),
        ("model_version", pa.string()),
        ("batch", pa.string()),
    ]
)
"""One row a scored wine: who it is, what was said of it, by which version, and in which batch."""


def require_numbers(schema: pa.Schema, table: str) -> None:
    """Make sure that a table has the columns that are scored, and numbers in them.

    Raises:
        WorkshopError: it has not.
    """
    for name in COLUMNS:
        if name not in schema.names:
            raise WorkshopError(f"The table {table} lacks the column {name}: it can't be scored without it.")
        kind = schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise WorkshopError(f"The table {table} has {kind} in the column {name}: it can only score numbers.")


def require_columns(stored: Iterable[str], same_for_all: Iterable[str], table: str) -> None:
    """Make sure that a file of a table has what is scored, or that the table's partitions say it.

    Raises:
        WorkshopError: a column was added to the table after the file was written.
    """
    known = {*stored, *(name for name in same_for_all if name != WINE_ID)}
    if unknown := [name for name in COLUMNS if name not in known]:
        raise WorkshopError(f"Some rows of the table {table} have no {unknown[0]}: fill the column in.")


def require_ids(ids: pa.Array, table: str) -> None:
    """Make sure that every wine has an id.

    Raises:
        WorkshopError: some have none.
    """
    if ids.null_count:
        raise WorkshopError(f"Some rows of the table {table} have no {WINE_ID}: fill the column in.")


def predict(model: LoadedModel, ids: pa.Array, features: pd.DataFrame, batch: str) -> pa.RecordBatch:
    """The rows of `PREDICTIONS` for these wines.

    Raises:
        WorkshopError: the model does not answer with a probability a row.
    """
    probabilities = model.probabilities(features)
    require_probabilities(probabilities, len(ids), f"model, version {model.version},")
    who_and_when = [pa.repeat(model.version, len(ids)), pa.repeat(batch, len(ids))]
    return pa.RecordBatch.from_arrays([ids, pa.array(probabilities), *who_and_when], schema=PREDICTIONS)
