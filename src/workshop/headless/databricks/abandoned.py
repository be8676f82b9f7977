"""Ends what this machine has started in a workspace and nobody here follows any more.

A cancelled pipeline does not always tell its script: the task AzureCLI@2 passes no signal on to it, and then `workshop
run` is killed before it can end its run on Databricks. So a later step of the same job does.
"""

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from workshop.core.errors import explain_os_error
from workshop.core.settings import current_settings
from workshop.headless.databricks import following, submission
from workshop.headless.databricks.settings import databricks_settings
from workshop.headless.databricks.sign_in import explained, sign_in
from workshop.headless.databricks.submission import Submitted
from workshop.headless.databricks.target import PLACE, RUN_ID_FILE, tidy_up
from workshop.headless.plan import Progress


def cancel(progress: Progress) -> int:
    """Cancel the active runs of this home that have no summary yet, and remove their code; returns how many there were.

    Raises:
        WorkshopError: the workspace does not answer, or there is no right to.
    """
    unfinished, followed = _unfinished()
    if not unfinished:
        return 0
    client = sign_in(retry_seconds=databricks_settings().retry_seconds)
    with explained("list the active runs"):
        found = [run for run in client.jobs.list_runs(active_only=True) if _is_among(run, unfinished, followed)]
    for run in found:
        _end(client, int(run.run_id or 0), progress)
    return len(found)


def _unfinished() -> tuple[set[str], set[str]]:
    """The runs of this home that have left no summary: their ids, and those of the runs there that they follow."""
    folder = current_settings().runs
    try:
        every = list(folder.iterdir()) if folder.is_dir() else []
        left = [run for run in every if not (run / "summary.json").exists()]
        known = [run / RUN_ID_FILE for run in left]
        return {run.name for run in left}, {file.read_text("utf-8").strip() for file in known if file.exists()}
    except OSError as error:
        raise explain_os_error(error) from error


def _is_among(run: jobs.BaseRun, ids: set[str], followed: set[str]) -> bool:
    """Whether a run of the workspace is followed by one of ours, or has one's id in its name, as all of ours do."""
    return str(run.run_id) in followed or not ids.isdisjoint((run.run_name or "").split())


def _end(client: WorkspaceClient, run_id: int, progress: Progress) -> None:
    with explained(f"look at the run {run_id}"):
        run = client.jobs.get_run(run_id)
    page = run.run_page_url or ""
    job_id = run.job_id if run.run_type == jobs.RunType.JOB_RUN else None
    ended = following.cancel(client, run_id)
    progress.said(
        f"Cancelled on Databricks: {page}"
        if ended is not None
        else f"The run on Databricks was told to end and has not yet: see {page}."
    )
    place = submission.run_parameters(run).get(PLACE, "")
    if place and ended is not None:
        tidy_up(client, place, Submitted(run_id, page, earlier=True, job_id=job_id), progress)
