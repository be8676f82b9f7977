"""The columns and schemas of the tables of wines."""

import pandas as pd
import pandera.pandas as pa

from workshop.core.errors import WorkshopError

PHYSICOCHEMICAL = {
    "fixed_acidity": (0.0, 30.0),  # g/dm³ tartaric acid
    "volatile_acidity": (0.0, 5.0),  # g/dm³ acetic acid
    "citric_acid": (0.0, 5.0),  # g/dm³
    "residual_sugar": (0.0, 250.0),  # g/dm³
    "chlorides": (0.0, 2.0),  # g/dm³ sodium chloride
    "free_sulfur_dioxide": (0.0, 600.0),  # mg/dm³
    "total_sulfur_dioxide": (0.0, 1000.0),  # mg/dm³
    "density": (0.9, 1.2),  # g/cm³
    "ph": (2.0, 5.0),
    "sulphates": (0.0, 5.0),  # g/dm³ potassium sulphate
    "alcohol": (5.0, 20.0),  # % by volume
}
"""The measurements, with their smallest and largest plausible values."""

FEATURES = [*PHYSICOCHEMICAL, "is_red"]
"""The model's input columns, all float64; `is_red` is 1 for red wine and 0 for white."""

WINE_ID = "wine_id"
"""An int64 computed from the features: rows with the same id are the same wine."""

TARGET = "is_high_quality"
"""The label: 1 for a quality of 7 or more."""

WINES = pa.DataFrameSchema(
    {
        WINE_ID: pa.Column("int64", unique=True),
        **{name: pa.Column("float64", pa.Check.in_range(*limits)) for name, limits in PHYSICOCHEMICAL.items()},
        "is_red": pa.Column("float64", pa.Check.isin([0.0, 1.0])),
        "quality": pa.Column("int64", pa.Check.in_range(0, 10)),
    },
    checks=pa.Check(lambda frame: len(frame) > 0, error="it has no rows"),
    strict=True,
    name="wines",
)
"""The schema of the development and the production table."""

ORIGINALS = WINES.update_column(WINE_ID, unique=False)
"""The schema of the original wines, with duplicates."""

PART = "part"
"""The part of a sampled wine: train, validation or test."""

PREPARED = WINES.add_columns(
    {
        TARGET: pa.Column("int64", pa.Check.isin([0, 1])),
        PART: pa.Column(str, pa.Check.isin(["train", "validation", "test"]), required=False),
    }
)
"""The schema of a run's prepared table; only a sample has the column `part`."""


def check_schema(wines: pd.DataFrame, schema: pa.DataFrameSchema, table: str) -> pd.DataFrame:
    """Return `wines` if they fit the schema.

    Raises:
        WorkshopError: they don't; the message names the table, the column and the first wrong value.
    """
    if twice := wines.columns[wines.columns.duplicated()].tolist():
        raise WorkshopError(f"The table {table} has the column {twice[0]} more than once: keep the right one.")
    try:
        return schema.validate(wines, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise WorkshopError(
            f"The table {table} does not fit its schema: {_first_failure(error, schema)}; "
            "correct the data or, if the data are right, the schema in workshop/core/data/schemas.py."
        ) from error


def _first_failure(error: pa.errors.SchemaErrors, schema: pa.DataFrameSchema) -> str:
    # A renamed column is both unknown and missing; the missing name is more useful.
    failures = error.failure_cases
    missing = failures[failures["check"] == "column_in_dataframe"]
    first = (failures if missing.empty else missing).iloc[0]
    match first["check"]:
        case "column_in_dataframe":
            return f"the column {first['failure_case']} is missing"
        case "column_in_schema":
            return f"the column {first['failure_case']} is unknown"
        case "not_nullable":
            return f"the column {first['column']} has missing values"
        case "field_uniqueness":
            return f"the column {first['column']} has {first['failure_case']} more than once"
        case what if first["column"] in (None, schema.name):
            return str(what)
        case what:
            found = " ".join(str(first["failure_case"]).split())
            return f"the column {first['column']} should be {what}, but has {found}"
