"""Ends what this machine has started in a workspace and nobody here follows any more.

A cancelled pipeline does not always tell its script: the task AzureCLI@2 passes no signal on to it, and then `workshop
run` is killed before it can end its run on Databricks. So a later step of the same job does, by the trail that it left.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from databricks.sdk import WorkspaceClient

from workshop.core.errors import WorkshopError
from workshop.databricks import submission, trail
from workshop.databricks.ending import end_what_runs
from workshop.databricks.settings import databricks_settings
from workshop.databricks.sign_in import sign_in
from workshop.databricks.trail import Trail
from workshop.runner.plan import Progress

_SECONDS_TO_END = 90
"""How long a process gets to end its run and to write its report."""
_SECONDS_TO_LOOK = 5
"""How long one gets that only looks at a trail."""


def cancel(progress: Progress) -> int:
    """Cancel the runs of this home that no process of it follows, and remove what they have left; returns how many.

    Raises:
        WorkshopError: the workspace does not answer, there is no right to, or a run does not end.
    """
    folders = trail.folders()
    if not folders:
        return 0
    settings = databricks_settings()
    client = sign_in(retry_seconds=settings.retry_seconds, say=progress.said)
    ended, problem = 0, None
    for folder in folders:  # one that can't be ended must not keep the others running
        try:
            ended += _end(client, folder, progress)
        except WorkshopError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return ended


def mention(token: str, progress: Progress) -> None:
    """Say which runs were stopped here without ending what they had started there, but for those of this token."""
    for folder in trail.folders():
        try:
            with trail.taken_up(folder) as found:
                if found is not None and found.token != token:
                    progress.said(
                        f"{folder.name} was stopped before it could end its run on Databricks, which may go on beside "
                        "this one: `workshop databricks cancel` ends it."
                    )
        except WorkshopError as error:
            progress.said(str(error))


def _end(client: WorkspaceClient, folder: Path, progress: Progress) -> bool:
    """End what is left of a run, and say whether there was anything to do."""
    with trail.taken_up(folder, seconds=_SECONDS_TO_LOOK) as found:
        if found is not None:
            _end_what_was_left(client, folder, found, progress)
            return True
    left = trail.found_in(folder)
    if left is None:
        return False
    if not left.pipelines_run or left.pipelines_run != submission.pipelines_run():
        progress.said(f"{folder.name} is followed by the process {left.pid}, and left alone.")
        return False
    # This very job is being cancelled, and that process has not heard of it.
    with suppress(ProcessLookupError):
        os.kill(left.pid, signal.SIGTERM)
    with trail.taken_up(folder, seconds=_SECONDS_TO_END) as found:
        if found is not None:
            _end_what_was_left(client, folder, found, progress)
        elif trail.found_in(folder) is not None:
            raise WorkshopError(f"The process {left.pid}, which follows {folder.name}, does not end: kill it.")
        return True


def _end_what_was_left(client: WorkspaceClient, folder: Path, left: Trail, progress: Progress) -> None:
    if left.host != client.config.host:
        raise WorkshopError(
            f"{folder.name} was started on {left.host}: set DATABRICKS_HOST to that, and run this again."
        )
    trail.taken_over(folder, left)
    ended = end_what_runs(client, folder, left, progress)
    if ended.others:
        progress.said(f"Another process has started {ended.others[0].page} for the same thing, which goes on.")
    elif ended.is_tidy and not ended.ours:
        progress.said(f"Nothing of {folder.name} ran any more; its code is removed.")
