"""How a run of the workspace comes to its end here: brought back, stopped, or ended; and what is removed after it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.databricks import following, submission, trail, upload
from workshop.databricks.retries import in_a_hurry
from workshop.databricks.settings import DatabricksSettings
from workshop.databricks.submission import Submitted, page_of
from workshop.databricks.trail import Trail
from workshop.databricks.watch import Watch
from workshop.runner import interruption
from workshop.runner.plan import Executed, Plan, Progress


@dataclass(frozen=True)
class Ended:
    """What was done about the runs of a token."""

    ours: list[Submitted]
    """They ran, and were cancelled."""
    others: list[Submitted]
    """They were started by other processes, and go on."""
    is_tidy: bool
    """Whether nothing of ours is left in the workspace."""


def bring_back(
    client: WorkspaceClient, submitted: Submitted, plan: Plan, settings: DatabricksSettings, progress: Progress
) -> Executed:
    """Follow a run to its end, and make of its tasks what a run on a laptop makes of its notebooks.

    Whoever stops us stops it in the workspace, unless it is somebody else's.

    Raises:
        WorkshopError: the workspace can't be asked any more; the run may go on.
    """
    watch = Watch(client, plan, progress)
    try:
        progress.said(f"On Databricks: {submitted.page}")
        run = following.follow(client, submitted, settings, watch.look_at, progress.said)
        return _what_came_of(run, submitted, watch)
    except KeyboardInterrupt:
        with interruption.undisturbed():
            if not submitted.is_ours:
                return _left_alone(submitted, watch)
            return stop(client, submitted, watch, progress)


def _what_came_of(run: jobs.Run, submitted: Submitted, watch: Watch) -> Executed:
    """What a run has come to that has ended."""
    executed = watch.executed(run)
    if submitted.earlier:
        executed = replace(executed, **_before_this_process(run, executed))
    return replace(executed, run_page=submitted.page or page_of(run))


def may_go_on(submitted: Submitted) -> str:
    """What to do about a run that can't be asked about any more, in a sentence."""
    return (
        f"Whether the run goes on is on its page, {submitted.page}; `workshop run --follow {submitted.run_id}` follows "
        "it again."
    )


def _left_alone(submitted: Submitted, watch: Watch) -> Executed:
    sentence = f"Followed no longer; the run is somebody else's and goes on: {submitted.page}."
    results = watch.results_so_far()
    return Executed(results, "interrupted", sentence, None, {}, over=False, run_page=submitted.page)


def end_what_runs(  # noqa: PLR0913, PLR0917  # all that is known of an attempt
    client: WorkspaceClient,
    folder: Path,
    left: Trail,
    progress: Progress,
    submitted: Submitted | None = None,
    is_all: bool = True,
) -> Ended:
    """End what an attempt at a run has started in the workspace, if it runs, and tidy up after it.

    Args:
        client: of the workspace.
        folder: the run's, on this machine.
        left: the trail that the attempt has left there.
        progress: is told what was done.
        submitted: the run that the attempt has started, if it knows.
        is_all: whether nothing more can come of what the attempt has asked for; otherwise its trail stays.

    Raises:
        WorkshopError: the workspace does not answer, or the run does not end.
    """
    with in_a_hurry(client):
        ours, others = active_runs(client, left, submitted)
        for run in ours:
            if following.cancel(client, run.run_id) is None:
                raise WorkshopError(f"The run {run.run_id} was told to end and has not yet: see {run.page}.")
            progress.said(f"Cancelled on Databricks: {run.page}")
        over = [*ours, *(submitted.failed_before if submitted is not None else ())]
        is_tidy = tidy_up(client, left, over, progress)
        if is_tidy and (is_all or ours):
            forget_trail(folder, progress)
        return Ended(ours, others, is_tidy)


def active_runs(
    client: WorkspaceClient, left: Trail, submitted: Submitted | None = None
) -> tuple[list[Submitted], list[Submitted]]:
    """The active runs of an attempt's token: those that the attempt has started, and those of others.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    started = submitted.run_id if submitted is not None else None
    with in_a_hurry(client):
        active = submission.find(client, left.token)
        ours = [
            run for run in active if run.run_id == started or submission.is_of(client, run.run_id, left.submission_id)
        ]
    return ours, [run for run in active if run not in ours]


def tidy_up(client: WorkspaceClient, left: Trail | None, over: Iterable[Submitted], progress: Progress) -> bool:
    """Remove from the workspace what runs have left there, now that they have ended; whether that was possible.

    What can't be removed must not turn a run red that has delivered: then the progress says so.

    Args:
        client: of the workspace.
        left: the trail of the attempt, which may have made a folder or a job that is no run's; None without one.
        over: the runs.
        progress: is told what is left.
    """
    over = list(over)
    places = [left.place] if left is not None else []
    problems = []
    with in_a_hurry(client):
        for place in dict.fromkeys([*places, *(run.place for run in over if run.place)]):
            try:
                upload.remove(client, place)
            except WorkshopError as error:
                problems.append(f"{place} is left in the workspace: {error}")
        try:
            for run in sorted(over, key=lambda each: each.run_id, reverse=True):  # as `forget_jobs` does
                submission.forget_job(client, run.job_id)
            if left is not None and left.makes_jobs:
                submission.forget_jobs(client, left.token, left.submission_id)
        except WorkshopError as error:
            problems.append(f"A job is left in the workspace: {error}")
    for sentence in problems:
        progress.said(f"{sentence} `workshop databricks cancel` removes it later, on the machine that has started it.")
    return not problems


def _before_this_process(run: jobs.Run, executed: Executed) -> dict[str, Any]:
    """What a run says itself of the time when nobody here looked."""
    found: dict[str, Any] = {}
    if executed.outcome is not None:
        found["slots_before"] = executed.outcome.slots_before
    if run.start_time and run.end_time:
        found["started"] = datetime.fromtimestamp(run.start_time // 1000, UTC)
        found["seconds"] = round((run.end_time - run.start_time) / 1000, 2)
    return found


def stop(client: WorkspaceClient, submitted: Submitted, watch: Watch, progress: Progress) -> Executed:
    """End the run in the workspace too, since nobody here waits for it any more, and say what came of it."""
    page = submitted.page
    where = page or f"the run {submitted.run_id}"
    progress.said("Stopping: the run on Databricks is being cancelled.")
    with in_a_hurry(client):
        try:
            run = following.cancel(client, submitted.run_id)
        except WorkshopError as error:
            sentence = (
                f"Stopped, but the run on Databricks may go on ({str(error).rstrip('.')}): cancel it on its page, "
                f"{where}, or with `workshop databricks cancel`."
            )
            return Executed(watch.results_so_far(), "interrupted", sentence, None, {}, over=False, run_page=page)
        if run is None:
            sentence = f"Stopped; the run on Databricks was told to end and has not yet: see {where}."
            return Executed(watch.results_so_far(), "interrupted", sentence, None, {}, over=False, run_page=page)
        watch.look_at(run)
    executed = _what_came_of(run, submitted, watch)
    if executed.status != "interrupted":
        progress.said("It had ended before it was told to.")
        return executed
    sentence = f"Stopped, and the run on Databricks was cancelled ({executed.run_page}); run it again when you like."
    return replace(executed, sentence=sentence)


def forget_trail(folder: Path, progress: Progress) -> None:
    """Take the trail away; that it can't be changes nothing of what was done."""
    try:
        trail.gone_cold(folder)
    except WorkshopError as error:
        progress.said(str(error))
