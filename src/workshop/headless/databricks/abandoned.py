"""Ends what this machine has started in a workspace and nobody here follows any more.

A cancelled pipeline does not always tell its script: the task AzureCLI@2 passes no signal on to it, and then `workshop
run` is killed before it can end its run on Databricks. So a later step of the same job does, by the trail that it left.
"""

from pathlib import Path

from databricks.sdk import WorkspaceClient

from workshop.core.errors import WorkshopError
from workshop.headless.databricks import following, submission, trail
from workshop.headless.databricks.ending import tidy_up
from workshop.headless.databricks.settings import DatabricksSettings, databricks_settings
from workshop.headless.databricks.sign_in import sign_in
from workshop.headless.plan import Progress


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
    return sum(_end(client, folder, settings, progress) for folder in folders)


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


def _end(client: WorkspaceClient, folder: Path, settings: DatabricksSettings, progress: Progress) -> bool:
    with trail.taken_up(folder) as found:
        if found is None:
            return False
        active = submission.find(client, found.token)
        for run in active:
            if following.cancel(client, run.run_id) is None:
                raise WorkshopError(f"The run on Databricks was told to end and has not yet: see {run.page}.")
            submission.forget_job(client, run.job_id)
            progress.said(f"Cancelled on Databricks: {run.page}")
        if tidy_up(client, found.place, None, settings, progress):
            trail.gone_cold(folder)
            if not active:
                progress.said(f"Nothing of {folder.name} ran any more; its code is removed.")
        return True
