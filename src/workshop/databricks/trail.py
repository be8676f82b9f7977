"""What a run leaves in its folder here from before it touches the workspace until nothing of it is left there.

Whoever is killed in between can't tidy up; by this trail `workshop databricks cancel` does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from kit_common.files import write_whole
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings

_FILE = "on-databricks.json"


class Trail(BaseModel):
    """Where a run is to be found in the workspace."""

    host: str
    """Of the workspace."""
    submission_id: str
    """What this process's own call to start the run is known by."""
    pid: int
    """Of the process that follows the run, while that holds the lock."""
    pipelines_run: str
    """What tells the job of a pipeline that has started it; empty outside a pipeline."""
    token: str
    """In the name of each run and job that was started for it."""
    place: str
    """The folder of its code."""
    makes_jobs: bool
    """Whether runs of this token have jobs of their own."""


@contextmanager
def left_by(folder: Path, trail: Trail) -> Iterator[None]:
    """Leave a trail while this process has to do with the run; `gone_cold` takes it away.

    Raises:
        WorkshopError: it can't be written.
    """
    with FileLock(current_settings().lock_file(f"databricks-{folder.name}")):
        _write(folder, trail)
        yield


def taken_over(folder: Path, trail: Trail) -> None:
    """Say, while holding the lock, that this process has to do with the run now, and is no pipeline's own.

    Raises:
        WorkshopError: it can't be written.
    """
    _write(folder, trail.model_copy(update={"pid": os.getpid(), "pipelines_run": ""}))


def gone_cold(folder: Path) -> None:
    """Nothing of the run is left in the workspace."""
    try:
        (folder / _FILE).unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error


@contextmanager
def taken_up(folder: Path, seconds: float = 0) -> Iterator[Trail | None]:
    """The trail in this run's folder, for whoever wants to follow it; None where there is none, or its process lives.

    Args:
        folder: the run's.
        seconds: how long the process gets to end.

    Raises:
        WorkshopError: it can't be read.
    """
    try:
        with FileLock(current_settings().lock_file(f"databricks-{folder.name}"), timeout=seconds):
            yield found_in(folder)
    except Timeout:
        yield None


def _write(folder: Path, trail: Trail) -> None:
    try:
        write_whole(folder / _FILE, trail.model_dump_json() + "\n")
    except OSError as error:
        raise explain_os_error(error) from error


def folders() -> list[Path]:
    """The folders of this home's runs that have left a trail, oldest first.

    Raises:
        WorkshopError: they can't be listed.
    """
    try:
        return sorted(path.parent for path in current_settings().runs.glob(f"*/{_FILE}"))
    except OSError as error:
        raise explain_os_error(error) from error


def found_in(folder: Path) -> Trail | None:
    """The trail in this run's folder, whether its process lives or not; None where there is none.

    Raises:
        WorkshopError: it can't be read.
    """
    path = folder / _FILE
    try:
        return Trail.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain_os_error(error) from error
    except ValidationError as error:
        raise WorkshopError(
            f"{path} is damaged: look on Databricks for what its run has left, and remove it."
        ) from error
