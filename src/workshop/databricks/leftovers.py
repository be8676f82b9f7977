"""What killed runs left behind: the marker file in a run's folder, and `workshop databricks cancel`.

The marker is written before a run creates anything in the workspace and removed once everything is cleaned up. A
cancelled pipeline can kill `workshop run` before it cancels its run, since AzureCLI@2 does not signal its script; a
later step of the same job then cancels the run by its marker.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from databricks.sdk import WorkspaceClient
from filelock import FileLock, Timeout
from pydantic import ValidationError

from kit_common.files import write_whole
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings
from workshop.databricks.errors import explained
from workshop.databricks.remote_run import RemoteRun, RunMarker, pipelines_run
from workshop.databricks.settings import databricks_settings
from workshop.databricks.sign_in import sign_in
from workshop.runner.target import Progress

_FILE = "on-databricks.json"
_SECONDS_TO_END = 90
"""Time for a process to end its run and to write its report."""
_SECONDS_TO_LOOK = 5
"""Time for a process that only reads the marker."""


@contextmanager
def marked(folder: Path, marker: RunMarker) -> Iterator[None]:
    """Write the marker, and hold its lock while this process follows the run; `forget` removes the marker."""
    with FileLock(_lock(folder)):
        _write(folder, marker)
        yield


def forget(folder: Path, progress: Progress) -> None:
    """Remove the marker; a failure is only printed, since it does not change the run's result."""
    try:
        (folder / _FILE).unlink(missing_ok=True)
    except OSError as error:
        progress.said(str(explain_os_error(error)))


def folders() -> list[Path]:
    """Return the folders of this home's runs that have a marker, oldest first."""
    with explained("find the runs of this home"):
        return sorted(path.parent for path in current_settings().runs.glob(f"*/{_FILE}"))


def read(folder: Path) -> RunMarker | None:
    """Return the marker in a run's folder, or None without one."""
    path = folder / _FILE
    try:
        return RunMarker.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain_os_error(error) from error
    except ValidationError as error:
        raise WorkshopError(f"{path} is damaged: remove what its run left on Databricks, then this file.") from error


@contextmanager
def claimed(folder: Path, seconds: float = 0) -> Iterator[RunMarker | None]:
    """Take over the marker of a run that no process follows; None if one does, or without a marker.

    Waits that many seconds for the process that follows the run.
    """
    try:
        with FileLock(_lock(folder), timeout=seconds):
            yield read(folder)
    except Timeout:
        yield None


def mention(token: str, progress: Progress) -> None:
    """Print which runs of killed processes may still be active, except those with this token."""
    for folder in folders():
        try:
            with claimed(folder) as marker:
                if marker is not None and marker.token != token:
                    progress.said(
                        f"{folder.name} was stopped before it could cancel its run on Databricks, which may go on "
                        "beside this one: `workshop databricks cancel` cancels it."
                    )
        except WorkshopError as error:
            progress.said(str(error))


def cancel(progress: Progress) -> int:
    """Cancel the runs of this home that no process follows, clean up after them, and return how many there were."""
    found = folders()
    if not found:
        return 0
    client = sign_in(retry_seconds=databricks_settings().retry_seconds, say=progress.said)
    count, problems = 0, []
    for folder in found:  # a failure must not keep the other runs active
        try:
            count += _cancel(client, folder, progress)
        except WorkshopError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return count


def _cancel(client: WorkspaceClient, folder: Path, progress: Progress) -> bool:
    """End the run of one marker; return whether there was anything to do."""
    with claimed(folder, seconds=_SECONDS_TO_LOOK) as marker:
        if marker is not None:
            _end(client, folder, marker, progress)
            return True
    marker = read(folder)
    if marker is None:
        return False
    if not marker.pipelines_run or marker.pipelines_run != pipelines_run():
        progress.said(f"{folder.name} is not cancelled: the process {marker.pid} follows it.")
        return False
    # This very job of a pipeline is being cancelled, and the signal did not reach that process.
    with suppress(ProcessLookupError):
        os.kill(marker.pid, signal.SIGTERM)
    with claimed(folder, seconds=_SECONDS_TO_END) as left:
        if left is not None:
            _end(client, folder, left, progress)
        elif read(folder) is not None:
            raise WorkshopError(f"The process {marker.pid}, which follows {folder.name}, does not end: kill it.")
    return True


def _end(client: WorkspaceClient, folder: Path, marker: RunMarker, progress: Progress) -> None:
    if marker.host != client.config.host:
        raise WorkshopError(
            f"{folder.name} was started on {marker.host}: set DATABRICKS_HOST to that, and run this again."
        )
    # A later step of the same pipeline must not stop this process as if it were the pipeline's.
    _write(folder, marker.model_copy(update={"pid": os.getpid(), "pipelines_run": ""}))
    run = RemoteRun(client, progress.said, marker)
    run.state = "submitted"
    if run.end():
        forget(folder, progress)
        if run.run_id is None:
            progress.said(f"The run of {folder.name} was no longer active; its code is removed.")


def _lock(folder: Path) -> Path:
    return current_settings().lock_file(f"databricks-{folder.name}")


def _write(folder: Path, marker: RunMarker) -> None:
    with explained("write the marker of a run"):
        write_whole(folder / _FILE, marker.model_dump_json() + "\n")
