"""What `bench.growth` does in processes of their own.

`python -m bench.growth_steps fill SIZE DATABASE` fills a store; `python -m bench.growth_steps measure TIMES` swaps and
looks in it. The environment names the store, and the last line printed is JSON.

The first few versions and events are made by the kit. The others are copies of their rows, written straight into the
database, where each has a number and an identifier of its own: through the client they would take an hour.
"""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sqlalchemy import Connection, MetaData, Table, create_engine, insert, select, text
from typing_extensions import override

from bench.measure import BrokenError
from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters, Terms
from workshop.core.promotion import gate, manual
from workshop.core.promotion.event import RECORD_TAG, Event
from workshop.core.promotion.history import History
from workshop.core.promotion.swap import describe
from workshop.core.registry import mlflow_store
from workshop.core.registry.backends import RegistryClient
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import log_candidate
from workshop.core.registry.slots import open_slots

MODEL = "wine_quality"
REASON = "Part of the benchmark."
ARCHIVED, PROMOTED, REJECTED = "1", "2", "3"
ONE_PROMOTION_IN = 10
ROWS_AT_ONCE = 2000
OF_A_RUN = ("tags", "params", "metrics", "latest_metrics")

Row = dict[str, Any]


def fill(size: int, database: str) -> dict[str, float]:
    """Make a registered model of `size` versions and `size` events; version 2 holds Production, 1 held it before."""
    client = mlflow_store.connect()
    rejection = _made_by_the_kit(client)
    engine = create_engine(database)
    with engine.begin() as connection:
        store = _Store(connection)
        numbers = range(4, size + 1)
        origin = {ARCHIVED: store.version(ARCHIVED), REJECTED: store.version(REJECTED)}
        events = History(client, MODEL).events()
        recorded = {each.version: store.run(each.id) for each in events}
        trained = {each: store.run(str(client.get_model_version(MODEL, each).run_id)) for each in origin}
        start = max(each["runs"][0]["start_time"] for each in recorded.values())
        for number in numbers:
            of = ARCHIVED if number % ONE_PROMOTION_IN == 0 else REJECTED
            run = uuid.uuid4().hex
            store.add({"runs": [], **trained[of]}, run_uuid=run)
            store.add(origin[of], version=number, run_id=run)
            store.add(_as_event(recorded[of], number), run_uuid=uuid.uuid4().hex, start_time=start + number)
        store.flush()
        if engine.dialect.name == "postgresql":  # as its own daemon does within a minute
            connection.execute(text("ANALYZE"))
    engine.dispose()
    _require_equal(client, rejection, size)
    return {"versions": size}


class _Store:
    """The rows of a store, to be copied."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        names = ["model_versions", "model_version_tags", "runs", *OF_A_RUN]
        metadata = MetaData()
        metadata.reflect(connection, only=names)
        self._tables: dict[str, Table] = {name: metadata.tables[name] for name in names}
        self._rows: dict[str, list[Row]] = {name: [] for name in names}

    def version(self, version: str) -> dict[str, list[Row]]:
        """The rows of a version."""
        names = ("model_versions", "model_version_tags")
        return {name: self._where(name, name=MODEL, version=int(version)) for name in names}

    def run(self, run_id: str) -> dict[str, list[Row]]:
        """The rows of a run."""
        return {name: self._where(name, run_uuid=run_id) for name in ("runs", *OF_A_RUN)}

    def add(self, rows: dict[str, list[Row]], **changed: Any) -> None:
        """Keep copies of rows to be written, with other values in those columns that a table has."""
        for name, each in rows.items():
            here = {column: value for column, value in changed.items() if column in self._tables[name].columns}
            self._rows[name] += [{**row, **here} for row in each]

    def flush(self) -> None:
        """Write the rows."""
        for name, rows in self._rows.items():
            for first in range(0, len(rows), ROWS_AT_ONCE):
                self._connection.execute(insert(self._tables[name]), rows[first : first + ROWS_AT_ONCE])

    def _where(self, of: str, **values: Any) -> list[Row]:
        table = self._tables[of]
        found = self._connection.execute(select(table).where(*(table.c[key] == it for key, it in values.items())))
        return [dict(row) for row in found.mappings()]


def _as_event(rows: dict[str, list[Row]], number: int) -> dict[str, list[Row]]:
    """Copy an event's rows for another version."""
    changed = {"workshop.version": str(number), "workshop.number": str(number)}

    def tag(row: Row) -> Row:
        if row["key"] == RECORD_TAG:
            return {
                **row,
                "value": json.dumps({**json.loads(row["value"]), "version": str(number), "token": uuid.uuid4().hex}),
            }
        return {**row, "value": changed.get(row["key"], row["value"])}

    return {**rows, "tags": [tag(row) for row in rows["tags"]]}


def _made_by_the_kit(client: MlflowClient) -> Event:
    wines = datasets.prepare(datasets.without_duplicates(read_originals()).head(400))
    for seed in range(3):
        parameters = Parameters(model_name=MODEL, run_name="bench")
        mlflow_store.use_experiment(client, MODEL, parameters.run_name)
        with mlflow.start_run() as run:
            classifier = RandomForestClassifier(5, random_state=seed).fit(wines[FEATURES], wines[TARGET])
        log_candidate(classifier, run.info.run_id, wines, "development@0", parameters)
    slots = open_slots(client, MODEL)
    manual.override(slots, ARCHIVED, REASON)
    manual.override(slots, PROMOTED, REASON)
    scores = np.linspace(0, 1, len(wines))
    decision = gate.decide(wines[TARGET].to_numpy(), scores, scores, Terms())
    event = Event("rejection", REJECTED, PROMOTED, decision.reason, "production@0", "of the benchmark", "bench")
    event = History(client, MODEL).append(
        Event(**{**vars(event), "terms": Terms().model_dump(), "decision": decision.as_dict()})
    )
    describe(slots, REJECTED, event, "not better")
    return event


def _require_equal(client: MlflowClient, rejection: Event, size: int) -> None:
    """A copied version and a copied event are read as those that MLflow has written are."""
    if size < 5:
        return
    written, copied = (client.get_model_version(MODEL, each) for each in (REJECTED, "5"))
    events = History(client, MODEL).events()
    last = next(each for each in events if each.version == "5")
    fields = ("reason", "terms", "decision", "state", "who", "rows", "rows_digest")
    if (written.tags, written.source, len(events)) != (copied.tags, copied.source, size) or any(
        getattr(last, name) != getattr(rejection, name) for name in fields
    ):
        raise BrokenError("The copied versions and events are not as MLflow writes them.")


class _Counted(RegistryClient):
    """A client that counts the calls of its methods."""

    calls = 0

    @override
    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found
        type(self).calls += 1
        return found


class _Requests(logging.Handler):
    """A count of HTTP requests, each of which is a line in the log of urllib3."""

    count = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.count += '"' in str(record.msg)


def measure(times: int) -> dict[str, Any]:
    """Time swaps and looks, after one of each that is not timed, and count the calls of one swap."""
    mlflow_store.connect()
    client, log, requests = _Counted(), logging.getLogger("urllib3.connectionpool"), _Requests()
    slots = open_slots(client, MODEL)
    log.addHandler(requests)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    versions = _alternating()
    manual.override(slots, next(versions), REASON)
    before = _Counted.calls, requests.count
    manual.override(slots, next(versions), REASON)
    counted = {"calls": _Counted.calls - before[0], "requests": requests.count - before[1]}
    log.setLevel(logging.WARNING)
    swaps = _timed(times, lambda: manual.override(slots, next(versions), REASON))
    follower = Follower(slots)
    return {**counted, "swap": swaps, "look": _timed(10 * times, follower.look)}


def _alternating() -> Iterator[str]:
    while True:
        yield from (ARCHIVED, PROMOTED)


def _timed(times: int, action: Callable[[], object]) -> float:
    """The least seconds of an action, which the other programs of a machine disturb least."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    print(json.dumps(fill(int(sys.argv[2]), sys.argv[3]) if sys.argv[1] == "fill" else measure(int(sys.argv[2]))))
