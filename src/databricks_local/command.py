"""A workspace served from a terminal until Ctrl-C, or for one command: `workshop databricks local`."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from databricks_local.mlflow_server import StartError, mlflow_server
from databricks_local.workspace import Workspace, running

_SIGN_IN = ("DATABRICKS_", "ARM_")
"""The beginnings of the names of variables that sign in elsewhere."""


def serve(folder: Path | None, show: Callable[[str], object]) -> None:
    """Serve a workspace until Ctrl-C or SIGTERM, and show the lines that another terminal needs.

    Args:
        folder: keeps what the workspace contains; without one, all of it is removed at the end.
        show: prints a line.

    Raises:
        StartError: the workspace cannot be started; one sentence.
    """
    with suppress(KeyboardInterrupt), _started(folder) as workspace:
        for name, value in environment(workspace).items():
            show(f"export {name}={shlex.quote(value)}")
        show("# A Databricks workspace on this machine, with the schema main.workshop. Ctrl-C ends it.")
        Event().wait()  # until Ctrl-C or SIGTERM


def run_with(folder: Path | None, command: Sequence[str], ready: Callable[[], object]) -> int:
    """Run a command that is signed in to a workspace as its service principal, then end the workspace.

    The terminal passes Ctrl-C to the command as well, so this process waits: the command may need the workspace to
    cancel its run.

    Args:
        folder: as in `serve`.
        command: the program and its arguments.
        ready: called when the workspace answers, before the command starts.

    Returns:
        The command's exit code.

    Raises:
        StartError: the workspace cannot be started, or the program is not found; one sentence.
    """
    if shutil.which(command[0]) is None:
        raise StartError(
            f"The command {command[0]} is not found: correct it, or activate the environment (for a folder, --folder)."
        )
    with _started(folder) as workspace:
        ready()
        others = {name: value for name, value in os.environ.items() if not name.startswith(_SIGN_IN)}
        signal.signal(signal.SIGINT, lambda *_: None)
        process = subprocess.Popen(command, env={**others, **environment(workspace)})
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    return code if code >= 0 else 128 - code  # as a shell


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables with which `workshop … --target databricks` finds the workspace."""
    return {
        "DATABRICKS_HOST": workspace.host,
        "DATABRICKS_TOKEN": workspace.token,
        "WORKSHOP_DATABRICKS_HOME": workspace.home,
        "WORKSHOP_DATABRICKS_POLL_SECONDS": "0.5",
    }


@contextmanager
def _started(folder: Path | None) -> Iterator[Workspace]:
    """Start a workspace with MLflow, and end both; SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="workspace-") as temporary:
        home = (folder or Path(temporary)).resolve()
        _require_writable(home)
        with (
            mlflow_server(home / "mlflow", hands_out_artifacts=False) as mlflow,
            running(home, mlflow) as workspace,
        ):
            yield workspace


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StartError(f"Could not write to {folder} ({error.strerror}): choose another folder.") from error
