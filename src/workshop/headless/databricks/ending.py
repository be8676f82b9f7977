"""How a run of the workspace comes to its end here: brought back, stopped, or ended; and what is removed after it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.headless import interruption
from workshop.headless.databricks import code, following, submission, trail
from workshop.headless.databricks.patience import in_a_hurry
from workshop.headless.databricks.settings import DatabricksSettings
from workshop.headless.databricks.submission import Submitted
from workshop.headless.databricks.watch import Watch
from workshop.headless.plan import Executed, Plan, Progress


@dataclass(frozen=True)
class Attempt:
    """What one process does about one run, and what that is known by in the workspace."""

    folder: Path
    """The run's own, on this machine."""
    token: str
    """The same for each attempt at the same run."""
    place: str
    """The folder of its code in the workspace."""
    submission_id: str
    """No other attempt's."""


def bring_back(
    client: WorkspaceClient, submitted: Submitted, plan: Plan, settings: DatabricksSettings, progress: Progress
) -> Executed:
    """Follow a run to its end, and make of its tasks what a run on a laptop makes of its notebooks.

    Somebody who stops it, stops it in the workspace.

    Raises:
        WorkshopError: the workspace can't be asked any more; the run may go on.
    """
    watch = Watch(client, list(plan.parameters), plan.folder, progress)
    try:
        progress.said(f"On Databricks: {submitted.page}")
        run = following.follow(client, submitted.run_id, settings, watch.look_at, progress.said)
        executed = watch.executed(run)
    except KeyboardInterrupt:
        with interruption.undisturbed():
            interruption.heard()
            if not submitted.is_ours:
                return _left_alone(submitted, watch)
            progress.said("Stopping: the run on Databricks is being cancelled.")
            with in_a_hurry(client):
                return _stopped(client, submitted, watch)
    except WorkshopError as error:
        raise WorkshopError(
            f"{error} Whether the run goes on is on its page, {submitted.page}; `workshop run --follow "
            f"{submitted.run_id}` follows it again."
        ) from error
    if submitted.earlier:
        executed = replace(executed, **_before_this_process(run, executed))
    return replace(executed, run_page=submitted.page)


def _left_alone(submitted: Submitted, watch: Watch) -> Executed:
    sentence = f"Followed no longer; the run is somebody else's and goes on: {submitted.page}."
    results = watch.results_so_far()
    return Executed(results, "interrupted", sentence, None, {}, over=False, run_page=submitted.page)


def end_what_runs(
    client: WorkspaceClient,
    attempt: Attempt,
    submitted: Submitted | None,
    settings: DatabricksSettings,
    progress: Progress,
) -> list[Submitted]:
    """End the attempt's own run, if there is one, and tidy up after it; gives the others' runs with the same token.

    Raises:
        WorkshopError: the workspace does not answer, or the run does not end.
    """
    with in_a_hurry(client):
        active = submission.find(client, attempt.token)
        ours = [
            run
            for run in active
            if (submitted is not None and run.run_id == submitted.run_id)
            or submission.is_of(client, run.run_id, attempt.submission_id)
        ]
        for run in ours:
            if following.cancel(client, run.run_id) is None:
                raise WorkshopError(f"The run {run.run_id} was told to end and has not yet: see {run.page}.")
            submission.forget_job(client, run.job_id)
        others = [run for run in active if run not in ours]
        # Another process of the same token runs on the same code.
        if others or tidy_up(client, attempt.place, attempt.token, settings, progress):
            trail.gone_cold(attempt.folder)
        return others


def tidy_up(
    client: WorkspaceClient,
    place: str,
    token: str,
    settings: DatabricksSettings,
    progress: Progress,
) -> bool:
    """Remove from the workspace what the run has left there, now that it has ended; whether that was possible.

    What can't be removed must not turn a run red that has delivered: then the progress says so.

    Args:
        client: of the workspace.
        place: the folder of the run's code.
        token: what the jobs are named by that were made for the run; empty where none was.
        settings: say where code lies.
        progress: is told what is left.
    """
    left = []
    with in_a_hurry(client):
        try:
            code.remove(client, place, settings)
        except WorkshopError as error:
            left.append(f"{place} is left in the workspace; `workshop databricks cancel` removes it later: {error}")
        try:
            if token:
                submission.forget_jobs(client, token)
        except WorkshopError as error:
            left.append(f"A job is left in the workspace; `workshop databricks cancel` removes it later: {error}")
    for sentence in left:
        progress.said(sentence)
    return not left


def _before_this_process(run: jobs.Run, executed: Executed) -> dict[str, Any]:
    """What a run says itself of the time when nobody here looked."""
    found: dict[str, Any] = {}
    if executed.outcome is not None:
        found["slots_before"] = executed.outcome["slots_before"]
    if run.start_time and run.end_time:
        found["started"] = datetime.fromtimestamp(run.start_time // 1000, UTC)
        found["seconds"] = round((run.end_time - run.start_time) / 1000, 2)
    return found


def _stopped(client: WorkspaceClient, submitted: Submitted, watch: Watch) -> Executed:
    """End the run in the workspace too, since nobody here waits for it any more."""
    page, over = submitted.page, False
    try:
        over = following.cancel(client, submitted.run_id) is not None
        sentence = (
            f"Stopped, and the run on Databricks was cancelled ({page}); run it again when you like."
            if over
            else f"Stopped; the run on Databricks was told to end and has not yet: see {page}."
        )
    except WorkshopError as error:
        sentence = (
            f"Stopped, but the run on Databricks may go on ({str(error).rstrip('.')}): cancel it on its page, {page}, "
            "or with `workshop databricks cancel`."
        )
    return Executed(watch.results_so_far(), "interrupted", sentence, None, {}, over=over, run_page=page)
