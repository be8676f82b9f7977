"""What a run leaves in its folder here from before it touches the workspace until nothing of it is left there.

Whoever is killed in between can't tidy up; by this trail `workshop databricks cancel` does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.files import write_whole
from workshop.core.settings import current_settings

_FILE = "on-databricks.json"


class Trail(BaseModel):
    """Where a run is to be found in the workspace."""

    token: str
    """In the name of each run and job that was started for it."""
    place: str
    """The folder of its code."""


@contextmanager
def left_by(folder: Path, trail: Trail) -> Iterator[None]:
    """Leave a trail while this process has to do with the run; `gone_cold` takes it away.

    Raises:
        WorkshopError: it can't be written.
    """
    with FileLock(current_settings().lock_file(f"databricks-{folder.name}")):
        write_whole(folder / _FILE, trail.model_dump_json() + "\n")
        yield


def gone_cold(folder: Path) -> None:
    """Nothing of the run is left in the workspace."""
    try:
        (folder / _FILE).unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error


@contextmanager
def taken_up(folder: Path) -> Iterator[Trail | None]:
    """The trail in this run's folder, for whoever wants to follow it; None where there is none, or its process lives.

    Raises:
        WorkshopError: it can't be read.
    """
    try:
        with FileLock(current_settings().lock_file(f"databricks-{folder.name}"), timeout=0):
            yield _read(folder / _FILE)
    except Timeout:
        yield None


def folders() -> list[Path]:
    """The folders of this home's runs that have left a trail, oldest first.

    Raises:
        WorkshopError: they can't be listed.
    """
    try:
        return sorted(path.parent for path in current_settings().runs.glob(f"*/{_FILE}"))
    except OSError as error:
        raise explain_os_error(error) from error


def _read(path: Path) -> Trail | None:
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
