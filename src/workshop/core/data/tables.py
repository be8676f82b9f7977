"""The tables of the workshop and their places."""

from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.settings import Settings, current_settings


def named_table(name: str, settings: Settings | None = None) -> Table:
    """Return a table by name: in a folder of that name, or in Unity Catalog if `WORKSHOP_TABLES` is set."""
    settings = settings or current_settings()
    if settings.tables:
        from workshop.core.data.unity_catalog import CatalogTable  # noqa: PLC0415  # only Databricks has such tables

        return CatalogTable(name, settings.tables)
    return DeltaFolder(name, settings.data / name)


def development_table(settings: Settings | None = None) -> Table:
    """Return the table of the wines to develop models with."""
    return named_table("development", settings)


def production_table(settings: Settings | None = None) -> Table:
    """Return the table of the labelled wines from production; no model may train on them."""
    return named_table("production", settings)


def prepared_table(run_name: str, settings: Settings | None = None) -> Table:
    """Return the table of the prepared wines of the runs with that name, one table version per run."""
    return named_table(f"prepared/{run_name}", settings)
