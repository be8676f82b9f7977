"""The facts of the registry: the store's tables, read directly, are what MLflow's client returns."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL
from workshop.core.promotion.event import Event
from workshop.core.promotion.history import History
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, open_slots
from workshop.core.settings import current_settings
from workshop.course import checking
from workshop.course.facts import Registry, Unseen
from workshop.course.readers import everything, registry

COMMIT = "a" * 40


@pytest.fixture
def client(home: Path, fresh_store: Path) -> MlflowClient:
    """The empty store of this test's home."""
    home.mkdir()
    shutil.copy(fresh_store, home)
    return mlflow_store.connect()


def read() -> Registry:
    """Read the store as a new process does, without the addresses that MLflow has written into the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(name, raising=False)
        patch.setattr(registry, "from_server", None)
        return registry.read(current_settings())


def register(client: MlflowClient, run_name: str, commit: str = COMMIT) -> str:
    tags = {"workshop.run_name": run_name, "workshop.git_commit": commit, "other": "1"}
    return str(client.create_model_version(MODEL, "file:///nowhere", tags=tags).version)


def fill(client: MlflowClient) -> None:
    """Three versions, another model, and a history with a long event, a repeated one, and a swap in each state."""
    for name in (MODEL, "another"):
        client.create_registered_model(name)
    for run_name, commit in (("no_name", COMMIT), ("dev-ana", f"{COMMIT}-dirty"), ("main", ""), ("gone", COMMIT)):
        register(client, run_name, commit)
    client.create_model_version("another", "file:///nowhere", tags={"workshop.run_name": "dev-ana"})
    client.delete_model_version(MODEL, "4")
    slots = open_slots(client, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    slots.archive("1")
    slots.assign(Slot.PRODUCTION, "3")
    slots.assign(Slot.STAGING, "2")
    history = History(client, MODEL)
    for version, state in (("1", "done"), ("2", "dropped"), ("3", "returned"), ("3", "done")):
        swap = history.append(Event("promotion", version, None, "x" * 9000, run_name="main", state="intended"))
        history.conclude(swap, state)  # type: ignore[arg-type]
    rejected = history.append(Event("rejection", "2", "1", "It is not better.", run_name="dev-ana"))
    history.append(replace(rejected, id=""))  # an answer was lost, and the client called again
    history.append(Event("rollback", "1", "3", "é", state="intended"))


@pytest.mark.parametrize("slots", ["alias", "stage"])
def test_the_tables_and_the_client_agree(client: MlflowClient, slots: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", slots)
    fill(client)

    found = read()

    assert found == registry.from_server()
    assert (found.production, found.staging) == ("3", "2")
    assert [(each.number, each.run_name, each.commit, each.archived) for each in found.versions] == [
        ("1", "no_name", COMMIT, True), ("2", "dev-ana", COMMIT, False), ("3", "main", "", False),
    ]  # fmt: skip
    assert [(each.kind, each.version, each.champion, each.state) for each in found.events] == [
        ("promotion", "1", None, "done"),
        ("promotion", "2", None, "dropped"),
        ("promotion", "3", None, "returned"),
        ("promotion", "3", None, "done"),
        ("rejection", "2", "1", "done"),
        ("rollback", "1", "3", "intended"),
    ]


def test_an_empty_store_and_none_at_all(client: MlflowClient, home: Path) -> None:
    assert read() == registry.from_server() == Registry()
    (home / "mlflow.db").unlink()
    assert read() == Registry()
    assert not (home / "mlflow.db").exists()


def test_a_store_of_the_users_own_is_read_too(
    client: MlflowClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client)
    expected = read()
    (home / "mlflow.db").rename(home / "own #1.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/own #1.db")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.setattr(registry, "from_server", None)
    assert registry.read(current_settings()) == expected


def test_an_incomplete_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite://store.db")
    with pytest.raises(Unseen, match="no path follows"):
        registry.read(current_settings())


def test_a_server_that_does_not_answer_leaves_its_criteria_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unseen):
        registry.read(current_settings())


def test_a_locked_store_leaves_only_its_criteria_open(
    client: MlflowClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    with closing(sqlite3.connect(home / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        lines = checking.judge(everything.read(home, "ana"))
    states = {line.criterion.id: line.finding for line in lines}
    assert states["baseline"].state == "can't tell"
    assert "database is locked" in states["baseline"].sentence
    assert states["tables"].state == "not yet"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("garbage", "not a database"),
        ("drop table model_version_tags", "no such table"),
        ("alter table registered_model_aliases rename column alias to name_of_it", "no such column"),
        ("update tags set value = '{' where \"key\" = 'workshop.record'", "Expecting"),
        ("delete from tags where \"key\" = 'workshop.state'", "workshop.state"),
    ],
)
def test_a_damaged_store_is_named(client: MlflowClient, home: Path, damage: str, reason: str) -> None:
    fill(client)
    store = home / "mlflow.db"
    if damage == "garbage":
        store.write_bytes(b"this is no database, and not empty either" * 100)
    else:
        with closing(sqlite3.connect(store)) as database, database:
            database.execute(damage)
    before = store.read_bytes()
    with pytest.raises(Unseen, match=reason):
        read()
    assert store.read_bytes() == before
