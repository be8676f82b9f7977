"""Which version of the model holds which slot, for people and for programs."""

from typing import Any

from rich.table import Table

from workshop.core.registry import mlflow_store
from workshop.core.registry.model import COMMIT_TAG, DATA_TAG, RUN_NAME_TAG
from workshop.core.registry.slots import Slot, open_slots


def read(model_name: str) -> dict[str, Any]:
    """The slots' holders and the archived versions.

    Returns:
        `{"model": …, "slots": {"production": {"version", "uri", "run_name", "git_commit", "data_version"} or None,
        "staging": …, "previous": …}, "archived": [versions, oldest first]}`.

    Raises:
        WorkshopError: the store can't be reached.
    """
    slots = open_slots(mlflow_store.connect(), model_name)
    return {
        "model": model_name,
        "slots": {slot.value: _describe(slots.version_in(slot), slots.uri(slot)) for slot in Slot},
        "archived": slots.archived(),
    }


def as_table(found: dict[str, Any]) -> Table:
    """The same for a terminal."""
    table = Table("slot", "version", "run name", "data", "commit", title=f"{found['model']}", title_justify="left")
    for slot, holder in found["slots"].items():
        if holder is None:
            table.add_row(slot, "-", "", "", "")
        else:
            table.add_row(
                slot, holder["version"], holder["run_name"], holder["data_version"], _short(holder["git_commit"])
            )
    table.caption = f"archived: {', '.join(found['archived']) or 'none'}"
    return table


def _short(commit: str) -> str:
    """The first digits of a commit, and whether files differed from it."""
    digits, dash, dirty = commit.partition("-")
    return f"{digits[:10]}{dash}{dirty}"


def _describe(entry: Any, uri: str) -> dict[str, str] | None:
    if entry is None:
        return None
    return {
        "version": str(entry.version),
        "uri": uri,
        "run_name": entry.tags.get(RUN_NAME_TAG, ""),
        "git_commit": entry.tags.get(COMMIT_TAG, ""),
        "data_version": entry.tags.get(DATA_TAG, ""),
    }
