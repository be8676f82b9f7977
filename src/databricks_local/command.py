"""A workspace served from a terminal until Ctrl-C: `workshop databricks local`, `python -m databricks_local`."""

import shlex
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from databricks_local.mlflow_server import StartError, mlflow_server
from databricks_local.workspace import Workspace, running


def serve(folder: Path | None, show: Callable[[str], object]) -> None:
    """Serve a workspace until Ctrl-C or SIGTERM, and show the lines that another terminal needs.

    Args:
        folder: keeps what the workspace contains; without one, all of it is removed at the end.
        show: prints a line.

    Raises:
        StartError: the workspace cannot be started; one sentence.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="workspace-") as temporary:
        home = (folder or Path(temporary)).resolve()
        _require_writable(home)
        with (
            mlflow_server(home / "mlflow", hands_out_artifacts=False) as mlflow,
            running(home, mlflow) as workspace,
        ):
            for name, value in environment(workspace).items():
                show(f"export {name}={shlex.quote(value)}")
            show("# A Databricks workspace on this machine, with the schema main.workshop. Ctrl-C ends it.")
            Event().wait()  # until Ctrl-C or SIGTERM


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the variables with which `workshop … --target databricks` finds the workspace."""
    return {
        "DATABRICKS_HOST": workspace.host,
        "DATABRICKS_TOKEN": workspace.token,
        "WORKSHOP_DATABRICKS_HOME": workspace.home,
        "WORKSHOP_DATABRICKS_POLL_SECONDS": "0.5",
    }


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StartError(f"Could not write to {folder} ({error.strerror}): choose another folder.") from error
