import errno
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import Engine, create_engine

from tests.support.models import refusal
from workshop.core.registry import mlflow_store, store_faults, store_schema


def with_schema(home: Path, fresh_store: Path, revision: str) -> bytes:
    home.mkdir()
    shutil.copy(fresh_store, home / "mlflow.db")
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = ?", [revision])
    return (home / "mlflow.db").read_bytes()


def test_a_store_of_an_older_mlflow_is_upgraded_after_a_copy(home: Path, fresh_store: Path) -> None:
    before = with_schema(home, fresh_store, "bda7b8c39065")
    with refusal("an older MLflow", f"cp '{home}/mlflow.db'", "mlflow db upgrade 'sqlite:///") as caught:
        mlflow_store.connect()
    assert "reset" not in str(caught.value)
    assert (home / "mlflow.db").read_bytes() == before


def store_of_the_first_mlflow(path: Path, *experiments: str) -> str:
    path.parent.mkdir(exist_ok=True)
    InitialBase.metadata.create_all(create_engine(f"sqlite:///{path}"))
    with closing(sqlite3.connect(path)) as database, database:
        for number, name in enumerate(experiments, start=7):
            database.execute("insert into experiments values (?, ?, 'mlruns/7', 'active')", [number, name])
    return f"sqlite:///{path}"


def experiments_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("select name from experiments")]


@pytest.mark.integration
@pytest.mark.parametrize(
    "variable",
    [
        "",
        pytest.param("MLFLOW_TRACKING_URI", marks=pytest.mark.thorough),
        "MLFLOW_REGISTRY_URI",
    ],
)
def test_a_store_that_mlflow_migrates_when_it_opens_is_copied_first(
    variable: str, home: Path, fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "named" / "old.db" if variable else home / "mlflow.db"
    uri = store_of_the_first_mlflow(store, "of long ago")
    if variable:
        monkeypatch.setenv(variable, uri)
        home.mkdir()
        shutil.copy(fresh_store, home / "mlflow.db")
    mlflow_store.connect()
    assert "of long ago" in experiments_in(store)
    (copy,) = store.parent.glob(f"{store.name}.*")
    assert (copy.name, experiments_in(copy)) == (f"{store.name}.before-upgrade-None", ["of long ago"])
    mlflow_store.connect()
    assert list(store.parent.glob(f"{store.name}.*")) == [copy]


def test_a_copy_is_never_overwritten(home: Path) -> None:
    store_of_the_first_mlflow(home / "mlflow.db", "of long ago")
    copy = home / "mlflow.db.before-upgrade-None"
    copy.write_text("of an earlier attempt")
    with refusal(str(copy), "move that copy to another folder"):
        mlflow_store.connect()
    assert copy.read_text() == "of an earlier attempt"
    assert experiments_in(home / "mlflow.db") == ["of long ago"]


def test_without_a_copy_nothing_is_migrated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store_of_the_first_mlflow(home / "mlflow.db", "of long ago")
    before = (home / "mlflow.db").read_bytes()
    monkeypatch.setattr(store_schema, "_copy", full)
    with refusal("older MLflow", "No space left", "make space"):
        mlflow_store.connect()
    assert (home / "mlflow.db").read_bytes() == before


@pytest.mark.integration
def test_an_empty_store_that_was_left_half_made_is_completed_without_a_copy(home: Path) -> None:
    store_of_the_first_mlflow(home / "mlflow.db")
    mlflow_store.connect()
    assert list(home.glob("mlflow.db.*")) == []


def test_a_store_of_a_newer_mlflow_without_a_table_stays_as_it_is(home: Path) -> None:
    store_of_the_first_mlflow(home / "mlflow.db", "of long ago")
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("create table alembic_version (version_num varchar(32))")
        database.execute("insert into alembic_version values ('ffffffffffff')")
    before = (home / "mlflow.db").read_bytes()
    with refusal("a newer MLflow"):
        mlflow_store.connect()
    assert (home / "mlflow.db").read_bytes() == before


def test_a_database_server_is_not_migrated_without_its_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = store_of_the_first_mlflow(tmp_path / "team.db", "of long ago")
    monkeypatch.setattr(store_faults, "_DATABASE_SERVERS", {"sqlite"})
    with refusal("an older MLflow", "mlflow db upgrade"):
        store_faults.require_database("MLFLOW_TRACKING_URI", uri)


def test_a_store_of_a_newer_mlflow_is_called_that(home: Path, fresh_store: Path) -> None:
    before = with_schema(home, fresh_store, "ffffffffffff")
    with refusal("a newer MLflow", "install that version") as caught:
        mlflow_store.connect()
    assert "reset" not in str(caught.value) and "upgrade" not in str(caught.value)
    assert (home / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("variable", [pytest.param("", marks=pytest.mark.thorough), "MLFLOW_TRACKING_URI"])
def test_a_store_whose_creation_was_stopped_is_created_again(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    store = home / "named" / "team.db" if variable else home / "mlflow.db"
    if variable:
        monkeypatch.setenv(variable, f"sqlite:///{store}")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mlflow.store.db.utils._upgrade_db", stop)  # after the first tables
        mlflow_store.connect()
    assert list(home.rglob("*.db")) == []
    assert [each.name for each in mlflow_store.connect().search_experiments()] == ["Default"]
    assert list(home.rglob("*.db")) == [store]


def test_a_store_that_another_process_has_created_meanwhile_stays(
    home: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = home / "mlflow.db"
    home.mkdir()

    def create_both(engine: Engine) -> None:
        Path(str(engine.url.database)).touch()
        shutil.copy(fresh_store, store)

    monkeypatch.setattr("mlflow.store.db.utils._initialize_tables", create_both)
    store_schema._create(store)
    assert store.read_bytes() == fresh_store.read_bytes()
