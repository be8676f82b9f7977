"""Checks of a laptop: Python, the pinned packages, a kernel, space, the store, ports, Git, the clock."""

import os
import shutil
import socket
import sys
import tempfile
import time
from contextlib import closing
from importlib.metadata import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from kit_common.errors import UserError
from kit_common.git import run as run_git
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import PACKAGE, Settings, current_settings, is_mounted, without_hard_links
from workshop.doctor.report import Note, Report
from workshop.runner import notebooks

GIBIBYTE = 2**30
_LEAST_SPACE, _GOOD_SPACE = 0.5 * GIBIBYTE, 2 * GIBIBYTE
_SECONDS_FOR_A_KERNEL = 90
_SECONDS_THAT_CLOCKS_DIFFER = 300
_PINS = PACKAGE.parents[1] / "requirements.txt"
_PORTS = {
    5000: "`workshop ui`",
    8080: "`workshop serve`",
    8888: "`workshop lab`",
    8900: "`workshop devops web`",
}


def examine(report: Report) -> None:
    """Check everything that a run on this machine needs."""
    report.check("Python", python)
    report.check("packages", packages)
    report.check("settings", settings)
    report.check("disk", disk, needs=["settings"])
    report.check("home", home, needs=["settings"])
    report.check("store", open_store, needs=["settings", "home"])
    report.check("kernel", kernel)
    report.check("notebooks", notebook_files)
    report.check("ports", ports)
    report.check("Git", git)
    report.check("clock", clock)


def python() -> str:
    """Check that the package supports this Python."""
    running = ".".join(str(number) for number in sys.version_info[:3])
    wanted = metadata("workshop")["Requires-Python"]
    if running not in SpecifierSet(wanted):
        raise WorkshopError(f"this is {running}, and the kit needs {wanted}: create the environment with that one.")
    return f"{running}, in {sys.prefix}"


def packages() -> str:
    """Check that the installed packages are those of requirements.txt."""
    from azure_devops_local.agent.checkout import difference  # noqa: PLC0415  # an agent compares the same before it installs

    if not _PINS.is_file():
        return Note("not a checkout, so there is no requirements.txt to compare with")
    if different := difference(_PINS.read_text(encoding="utf-8")):
        raise WorkshopError(f"{different}: run `pip install --no-deps -r requirements.txt`, or `make setup`.")
    return "as requirements.txt pins them"


def settings() -> str:
    """Check the `WORKSHOP_…` environment variables."""
    return f"everything is kept in {current_settings().home}"


def disk() -> str:
    """Check that there is space for tables, models and runs."""
    place = _existing(current_settings().home)
    free = shutil.disk_usage(place).free
    space = f"{free / GIBIBYTE:.1f} GB are free at {place}"
    if free < _LEAST_SPACE:
        raise WorkshopError(f"{space}, and a run takes up to 0.5 GB: free some space, or set WORKSHOP_HOME elsewhere.")
    return Note(f"{space}, which is enough for a few runs") if free < _GOOD_SPACE else space


def home() -> str:
    """Check that files can be written to the kit's home."""
    place = current_settings().home
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as file:
            file.write(b"written")
            if not is_mounted(place):
                _require_hard_links(Path(file.name))
    except OSError as error:
        raise explain_os_error(error) from error
    return f"{place} is writable"


def _require_hard_links(file: Path) -> None:
    link = file.with_name(f"{file.name}-link")
    try:
        link.hardlink_to(file)
    except OSError as error:
        raise WorkshopError(without_hard_links(file.parent)) from error
    link.unlink()


def open_store() -> str:
    """Check that the MLflow store answers, and fits the registry."""
    from workshop.core.registry import mlflow_store  # noqa: PLC0415  # imports MLflow; the findings so far are shown
    from workshop.core.registry.store_address import without_credentials  # noqa: PLC0415  # imports SQLAlchemy

    mlflow_store.require_shared_history()
    mlflow_store.connect()
    known: Settings = current_settings()
    where = (
        "the kit's own" if mlflow_store.is_embedded(known) else without_credentials(mlflow_store.tracking_uri(known))
    )
    return f"MLflow's store opens: {where}"


def kernel() -> str:
    """Check that a kernel starts and computes."""
    from workshop.runner import kernels  # noqa: PLC0415  # imports jupyter_client

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="workshop-doctor-") as folder:
        log = Path(folder) / "kernel.log"
        try:
            with kernels.kernel(os.environ, Path(folder), log) as manager:
                client = manager.client()
                client.start_channels()
                from jupyter_core.utils import run_sync  # noqa: PLC0415  # only here

                run_sync(client.wait_for_ready)(timeout=_SECONDS_FOR_A_KERNEL)
                reply = run_sync(client.execute_interactive)("assert 6 * 7 == 42", timeout=_SECONDS_FOR_A_KERNEL)
        except (RuntimeError, TimeoutError, OSError) as error:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if log.exists() else []
            reason = "".join(last) or str(error)
            raise WorkshopError(
                f"no kernel starts ({reason}): run `python -m ipykernel --version` to see why."
            ) from error
    if reply["content"]["status"] != "ok":
        raise WorkshopError("a kernel starts but does not compute: run `workshop lab`, and try a cell there.")
    return f"starts and computes, in {time.monotonic() - started:.1f} s"


def notebook_files() -> str:
    """Check that each notebook can be read, and has one tagged cell for a run's parameters."""
    problems = [problem for path in _notebooks() if (problem := _problem_of(path))]
    if problems:
        raise WorkshopError(" ".join(problems))
    return f"{len(notebooks.SHIPPED)} notebooks of the kit, each with one parameters cell"


def _notebooks() -> list[Path]:
    shipped = [notebooks.FOLDER / f"{name}.ipynb" for name in notebooks.SHIPPED]
    return [*shipped, *sorted(path for path in notebooks.FOLDER.glob("part_*.ipynb") if path not in shipped)]


def _problem_of(path: Path) -> str:
    notebook = notebooks.Notebook(path)
    try:
        declared = notebook.declared()
    except WorkshopError as error:
        return str(error)
    if declared or notebook.name not in notebooks.SHIPPED:
        return ""
    return (
        f"The notebook {notebook.name} has lost its cell tagged `parameters`, so a run's values do not reach it: tag "
        "the cell again, or restore the notebook with `git checkout`."
    )


def ports() -> str:
    """Check that the default ports of the kit's servers are free."""
    taken = [number for number in _PORTS if not _is_free(number)]
    if taken:
        used = " and ".join(f"{number} is taken (the default of {_PORTS[number]})" for number in taken)
        return Note(f"{used}: choose another with --port")
    return f"{', '.join(map(str, _PORTS))} are free"


def git() -> str:
    """Check that Git is installed, has a user, and finds the commit of this checkout."""
    if shutil.which("git") is None:
        raise WorkshopError("Git is not installed: install it, or runs record no commit.")
    from workshop.core.provenance import find_commit  # noqa: PLC0415  # calls Git

    commit, problem = find_commit()
    notes = [problem] if problem else []
    if commit.endswith("-dirty"):
        notes.append(f"{commit[:10]} with changes that are not committed: runs record it as dirty")
    if unset := [name for name in ("user.name", "user.email") if run_git(PACKAGE, "config", name).returncode]:
        notes.append(f"{' and '.join(unset)} not set, which commits need: set with `git config --global {unset[0]} …`")
    return Note("; ".join(notes)) if notes else f"at commit {commit[:10]}"


def clock() -> str:
    """Check that the clock is later than the newest commit, or without Git than the package's newest file."""
    newest = _newest_commit() or max(path.stat().st_mtime for path in PACKAGE.rglob("*.py"))
    now = time.localtime(_now())
    if _now() < newest - _SECONDS_THAT_CLOCKS_DIFFER:
        when = time.strftime("%Y-%m-%d %H:%M", now)
        raise WorkshopError(f"it shows {when}, which is before this code was written: set it.")
    return f"{time.strftime('%Y-%m-%d %H:%M:%S %Z', now)} is later than the code"


def _newest_commit() -> float:
    try:
        log = run_git(PACKAGE, "log", "-1", "--format=%ct", timeout=30)
    except UserError:
        return 0.0
    return float(log.stdout.strip() or 0)


def _now() -> float:
    return time.time()


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.exists())


def _is_free(port: int) -> bool:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        if sys.platform != "win32":  # where it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
