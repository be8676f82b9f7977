"""The facts of the model registry and the history of its slots.

An SQLite store is read from its tables, since MLflow takes seconds to import; a store on a server is read with MLflow.
"""

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workshop.core.errors import WorkshopError
from workshop.core.settings import Settings
from workshop.course.facts import Event, Registry, Unseen, Version

MODEL = "wine_quality"
_RECORD, _STATE = "workshop.record", "workshop.state"
_RUN_NAME, _COMMIT, _ARCHIVED = "workshop.run_name", "workshop.git_commit", "workshop.archived"
_MOST_FINAL_FIRST = ("done", "returned", "dropped", "intended")
_SECONDS = 0.3
"""Wait for a writer to end; a longer one is named in the sentence."""


def read(settings: Settings) -> Registry:
    """Return the facts.

    Raises:
        Unseen: the store is locked or damaged, or its tables are not those of this MLflow.
    """
    tracking, models = (os.environ.get(f"MLFLOW_{name}_URI", "").strip() for name in ("TRACKING", "REGISTRY"))
    store = _file(tracking) if tracking else settings.home / "mlflow.db"
    if store is None or models not in {"", tracking}:
        return from_server()
    if not store.exists():
        return Registry()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True, timeout=_SECONDS)) as database:
            return _from_tables(database, settings.slots)
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise Unseen(
            f"The store {store} can't be read ({error}): try again after other commands have ended, and see what "
            "`workshop doctor` prints."
        ) from error


def _file(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for a server."""
    uri = uri.strip().strip("\"'")
    if not uri.lower().startswith("sqlite:"):
        return None
    from workshop.core.registry import store_address  # noqa: PLC0415  # imports SQLAlchemy

    try:
        return store_address.sqlite_file(store_address.absolute_uri("MLFLOW_TRACKING_URI", uri))
    except WorkshopError as error:
        raise Unseen(str(error)) from error


def _from_tables(database: sqlite3.Connection, slots: str) -> Registry:
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    for version, key, value in database.execute(
        'select version, "key", value from model_version_tags where name = ?', (MODEL,)
    ):
        tags[str(version)][key] = value
    numbers = database.execute(
        "select version, current_stage from model_versions where name = ? and current_stage != 'Deleted_Internal' "
        "order by version",
        (MODEL,),
    ).fetchall()
    aliases = dict(
        database.execute("select alias, version from registered_model_aliases where name = ?", (MODEL,)).fetchall()
    )
    stages = {stage.lower(): number for number, stage in numbers if stage}
    held = aliases if slots == "alias" else stages
    return Registry(
        production=_text(held.get("production")),
        staging=_text(held.get("staging")),
        versions=tuple(_version(str(number), tags[str(number)]) for number, _ in numbers),
        events=_events(_history(database)),
    )


def _history(database: sqlite3.Connection) -> Iterable[Mapping[str, str]]:
    """Return the tags of each event's run, in the order of recording."""
    runs: dict[str, dict[str, str]] = {}
    for run, key, value in database.execute(
        'select runs.run_uuid, tags."key", tags.value from runs join experiments using (experiment_id) '
        "join tags on tags.run_uuid = runs.run_uuid where experiments.name = ? and runs.lifecycle_stage = 'active' "
        "order by runs.start_time",
        (f"{MODEL}/history",),
    ):
        runs.setdefault(run, {})[key] = value
    return runs.values()


def _events(runs: Iterable[Mapping[str, str]]) -> tuple[Event, ...]:
    """Return the events, each once, with its most final state."""
    known: dict[str, Event] = {}
    for tags in runs:
        if _RECORD not in tags:
            continue
        parts = [tags[_RECORD]]
        while (part := tags.get(f"{_RECORD}.{len(parts)}")) is not None:
            parts.append(part)
        record = json.loads("".join(parts))
        event = _event(record, tags[_STATE])
        twin = known.get(record["token"], event)
        known[record["token"]] = min(twin, event, key=lambda each: _MOST_FINAL_FIRST.index(each.state))
    return tuple(known.values())


def _event(record: dict[str, Any], state: str) -> Event:
    return Event(
        kind=record["kind"],
        version=record["version"],
        champion=record["champion"],
        run_name=record["run_name"],
        commit=record["git_commit"].removesuffix("-dirty"),
        state=state,
    )


def _version(number: str, tags: Mapping[str, str]) -> Version:
    return Version(
        number, tags.get(_RUN_NAME, ""), tags.get(_COMMIT, "").removesuffix("-dirty"), archived=_ARCHIVED in tags
    )


def _text(number: object) -> str | None:
    return None if number is None else str(number)


def from_server() -> Registry:
    """Return the facts through the kit's own client, in some seconds."""
    from workshop.core.promotion.history import History  # noqa: PLC0415  # imports MLflow, as do the next ones
    from workshop.core.registry import mlflow_store  # noqa: PLC0415
    from workshop.core.registry.backends import all_versions  # noqa: PLC0415
    from workshop.core.registry.slots import Slot, open_slots  # noqa: PLC0415

    try:
        if (store := _file(mlflow_store.tracking_uri())) and not store.exists():
            return Registry()
        slots = open_slots(mlflow_store.connect(), MODEL)
        if not slots.versions():
            return Registry()
        entries = all_versions(slots.client, MODEL)[::-1]
        return Registry(
            production=slots.holder(Slot.PRODUCTION),
            staging=slots.holder(Slot.STAGING),
            versions=tuple(_version(str(entry.version), entry.tags) for entry in entries),
            events=tuple(
                Event(
                    each.kind,
                    each.version,
                    each.champion,
                    each.run_name,
                    each.git_commit.removesuffix("-dirty"),
                    each.state,
                )
                for each in History(slots.client, MODEL).events()
            ),
        )
    except WorkshopError as error:
        raise Unseen(str(error)) from error
