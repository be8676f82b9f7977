"""Which tables the workshop has, and where they are."""

from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.settings import Settings, current_settings


def named_table(name: str, settings: Settings | None = None) -> Table:
    """A table of the team's own: by the name of its folder, or in Unity Catalog where `WORKSHOP_TABLES` says so."""
    settings = settings or current_settings()
    if settings.tables:
        from workshop.core.data.unity_catalog import CatalogTable  # noqa: PLC0415  # only Databricks has them

        return CatalogTable(name, settings.tables)
    return DeltaFolder(name, settings.data / name)


def development_table(settings: Settings | None = None) -> Table:
    """The wines to develop models with."""
    return named_table("development", settings)


def production_table(settings: Settings | None = None) -> Table:
    """The wines that production has seen and labelled since; no model may train on them."""
    return named_table("production", settings)


def prepared_table(run_name: str, settings: Settings | None = None) -> Table:
    """The prepared wines of the runs with that name, one table version a run."""
    return named_table(f"prepared/{run_name}", settings)
