"""The schema of an SQL store: one of another MLflow version is copied before its migration, or explained."""

import logging
import re
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, create_engine, inspect, text

from workshop.core.errors import WorkshopError
from workshop.core.registry import store_address

_REFUSED = re.compile(r"out-of-date database schema \(found version (\w+)|Can't locate revision identified by '(\w+)'")
_UNKNOWN = "None"
"""The revision of a store from before MLflow recorded one."""
_log = logging.getLogger(__name__)


def refused_revision(error: MlflowException) -> str:
    """Return the revision that MLflow has refused to open; empty if the error has another reason."""
    found = _REFUSED.search(str(error))
    return (found[1] or found[2]) if found else ""


def migrated_from(engine: Engine) -> str | None:
    """Return the revision of a store with content that MLflow would migrate without a copy; None for any other store.

    MLflow does so if one of its tables is missing, and otherwise refuses an older store.
    """
    from alembic.migration import MigrationContext  # noqa: PLC0415  # only an SQL store needs both
    from mlflow.store.db.utils import _all_tables_exist  # noqa: PLC0415

    if _all_tables_exist(engine):  # type: ignore[no-untyped-call]
        return None
    filled = {"experiments", "registered_models"} & set(inspect(engine).get_table_names())
    with engine.connect() as connection:
        # Without a row, it was interrupted while it was created.
        if not any(connection.execute(text(f"select 1 from {table}")).first() for table in filled):
            return None
        return MigrationContext.configure(connection).get_current_revision() or _UNKNOWN


def prepare(uri: str) -> None:
    """Create an SQLite store if it is missing; before MLflow migrates one, copy it into the same folder.

    Raises:
        WorkshopError: a newer MLflow has written it, or it can't be copied.
    """
    if not store_address.is_sqlite(uri):
        return
    store = store_address.sqlite_file(uri)
    if not store.exists():
        _create(store.resolve())
    elif store.is_file() and (revision := _migrated_from(uri)) is not None:
        if not _is_older(revision):
            raise WorkshopError(of_another_mlflow(uri, revision))
        _keep_copy(store, store.with_name(f"{store.name}.before-upgrade-{revision}"))


def _create(store: Path) -> None:
    """Create an empty store elsewhere and move it: MLflow can't reopen a store whose creation was interrupted."""
    from mlflow.store.db.utils import _initialize_tables  # noqa: PLC0415  # only an SQL store needs it

    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent, prefix=f".{store.name}-") as folder:
        begun = Path(folder) / store.name
        engine = create_engine(f"sqlite:///{begun.as_posix()}")
        try:
            _initialize_tables(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()
        try:
            store.hardlink_to(begun)
        except FileExistsError:
            pass  # another process was faster; its store may be in use already
        except OSError:  # no hard links there
            begun.replace(store)


def _migrated_from(uri: str) -> str | None:
    engine = create_engine(uri)
    try:
        return migrated_from(engine)
    finally:
        engine.dispose()


def _keep_copy(store: Path, copy: Path) -> None:
    if copy.exists():
        raise WorkshopError(
            f"The store {store} was written by an older MLflow, and {copy} exists from before an earlier attempt to "
            "upgrade it: move that copy to another folder, then run again."
        )
    try:
        _copy(store, copy)
    except (OSError, sqlite3.Error) as error:
        raise WorkshopError(
            f"The store {store} was written by an older MLflow, and copying it before its upgrade failed "
            f"({error}): make space beside it, and allow writing there."
        ) from error
    _log.warning("The store %s was written by an older MLflow: it is upgraded, and %s is its copy.", store, copy)


def of_another_mlflow(uri: str, revision: str) -> str:
    """Return what to do about a store with the schema of another MLflow version, without losing data."""
    place = store_address.without_credentials(uri).split("?")[0]
    if not _is_older(revision):
        return (
            f"The store {place} was written by a newer MLflow than this one ({mlflow.__version__}): install that "
            "version, as `make setup` does in the checkout that wrote it; nothing in the store has changed."
        )
    original = place.removeprefix("sqlite:///")
    copy = f"`cp '{original}' '{original}.before-upgrade'`" if original != place else "the database's own backup"
    return (
        f"The store {place} was written by an older MLflow than this one ({mlflow.__version__}): stop everything that "
        f"uses it, make a copy with {copy}, then run `{sys.executable} -m mlflow db upgrade '{place}'`."
    )


def _is_older(revision: str) -> bool:
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # takes a moment, and only a fault needs it
    from mlflow.store.db.utils import _get_alembic_config  # noqa: PLC0415

    scripts = ScriptDirectory.from_config(_get_alembic_config(""))  # type: ignore[no-untyped-call]
    return revision == _UNKNOWN or revision in {each.revision for each in scripts.walk_revisions()}


def _copy(original: Path, copy: Path) -> None:
    """Copy a database, with what other processes have committed to it; a copy that is cut short gets another name."""
    begun = copy.with_name(f"{copy.name}.part")
    begun.unlink(missing_ok=True)
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(begun)) as target:
        source.backup(target)
    begun.replace(copy)
