"""The rows that scoring reads and writes, for this process and for Spark's workers."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from workshop.core.data.schemas import FEATURES, WINE_ID
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel, require_probabilities

COLUMNS = [WINE_ID, *FEATURES]
"""The columns of the scored table that are read."""
PREDICTIONS = pa.schema(
    [
        (WINE_ID, pa.int64()),
        ("probability", pa.float64()),
        ("model_version", pa.string()),
        ("batch", pa.string()),
    ]
)
"""One row per wine: its id, its prediction, the model version and the batch."""


def require_numbers(schema: pa.Schema, table: str) -> None:
    """Check that a table has all columns to score, with numbers in them.

    Raises:
        WorkshopError: a column is missing, or its type is not a number.
    """
    for name in COLUMNS:
        if name not in schema.names:
            raise WorkshopError(f"The column {name} is missing in the table {table}: add it.")
        kind = schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise WorkshopError(f"The column {name} of the table {table} holds {kind}: convert it to numbers.")


def require_columns(stored: Iterable[str], partitioned: Iterable[str], table: str) -> None:
    """Check that each column to score is in the file, or is a partition column of the table.

    Raises:
        WorkshopError: a column was added to the table after the file was written.
    """
    known = {*stored, *(name for name in partitioned if name != WINE_ID)}
    if unknown := [name for name in COLUMNS if name not in known]:
        raise WorkshopError(f"Some rows of the table {table} have no {unknown[0]}: fill the column in.")


def require_ids(ids: pa.Array, table: str) -> None:
    """Check that every wine has an id.

    Raises:
        WorkshopError: an id is missing.
    """
    if ids.null_count:
        raise WorkshopError(f"Some rows of the table {table} have no {WINE_ID}: fill the column in.")


def predict(model: LoadedModel, ids: pa.Array, features: pd.DataFrame, batch: str) -> pa.RecordBatch:
    """Predict these wines and return rows of `PREDICTIONS`.

    Raises:
        WorkshopError: the model does not answer with one probability per row.
    """
    probabilities = model.probabilities(features)
    require_probabilities(probabilities, len(ids), f"model, version {model.version},")
    constants = [pa.repeat(model.version, len(ids)), pa.repeat(batch, len(ids))]
    return pa.RecordBatch.from_arrays([ids, pa.array(probabilities), *constants], schema=PREDICTIONS)
