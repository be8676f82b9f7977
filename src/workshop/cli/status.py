"""`workshop status`: the version in each slot."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from workshop.cli.options import AsJson, Model
from workshop.cli.output import waiting_for

app = typer.Typer()
out = Console()
_MOST_LISTED = 10


@app.command()
def status(model: Model = "wine_quality", as_json: AsJson = False) -> None:
    """Show which version of the model holds which slot."""
    with waiting_for("the store"):
        found = read(model, 0 if as_json else _MOST_LISTED + 1)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        out.print(as_table(found))


def read(model_name: str, most: int = 0) -> dict[str, Any]:
    """Return the slots' holders and the archived versions.

    Args:
        model_name: the registered model.
        most: how many of the newest archived versions to read; all if 0.

    Returns:
        `{"model": …, "slots": {"production": {"version", "uri", "run_name", "git_commit", "data_version"} or None,
        "staging": …, "previous": …}, "archived": [versions, oldest first]}`.

    Raises:
        WorkshopError: the store can't be reached.
    """
    from workshop.core.registry import mlflow_store
    from workshop.core.registry.slots import Slot, open_slots

    slots = open_slots(mlflow_store.connect(), model_name)
    return {
        "model": model_name,
        "slots": {slot.value: _describe(slots.version_in(slot), slots.uri(slot)) for slot in Slot},
        "archived": slots.archived(most),
    }


def as_table(found: dict[str, Any]) -> Table:
    """Return the table for a terminal."""
    table = Table("slot", "version", "run name", "data", "commit", title=found["model"], title_justify="left")
    for slot, holder in found["slots"].items():
        if holder is None:
            table.add_row(slot, "-")
        else:
            commit, dash, dirty = holder["git_commit"].partition("-")
            table.add_row(
                slot, holder["version"], holder["run_name"], holder["data_version"], f"{commit[:10]}{dash}{dirty}"
            )
    listed, earlier = found["archived"][-_MOST_LISTED:], len(found["archived"]) > _MOST_LISTED
    named = f"{', '.join(listed) or 'none'}{' and earlier ones' if earlier else ''}"
    table.caption = f"archived, as earlier holders of production: {named}"
    table.caption_justify = "left"
    return table


def _describe(entry: Any, uri: str) -> dict[str, str] | None:
    from workshop.core.registry.model import COMMIT_TAG, DATA_TAG, RUN_NAME_TAG

    if entry is None:
        return None
    return {
        "version": str(entry.version),
        "uri": uri,
        "run_name": entry.tags.get(RUN_NAME_TAG, ""),
        "git_commit": entry.tags.get(COMMIT_TAG, ""),
        "data_version": entry.tags.get(DATA_TAG, ""),
    }
