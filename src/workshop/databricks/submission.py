"""Starts a run in the workspace, once, however often it is asked for with the same token."""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, TooManyRequests
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.databricks import job
from workshop.databricks.errors import explained, harmless
from workshop.databricks.job import Work
from workshop.databricks.retries import LOST, patiently
from workshop.databricks.settings import DatabricksSettings
from workshop.runner import interruption

RUN_ID = "WORKSHOP_RUN_ID"
SUBMISSION = "WORKSHOP_SUBMISSION"
"""The parameter of a run that says which call has started it; run ids of two machines may be the same."""
ENDED = (jobs.RunLifeCycleState.TERMINATED, jobs.RunLifeCycleState.SKIPPED, jobs.RunLifeCycleState.INTERNAL_ERROR)
PLACE = "WORKSHOP_CODE"
"""The parameter of a run that says which folder of the workspace its code lies in."""
_A_PIPELINES_RUN = (
    "SYSTEM_COLLECTIONURI",
    "SYSTEM_TEAMPROJECTID",
    "BUILD_BUILDID",
    "SYSTEM_STAGENAME",
    "SYSTEM_JOBNAME",
)
_MADE_FOR_A_RUN = re.compile(r"workshop [0-9a-f]{40}(-[0-9]+)?")
_LONGEST_TOKEN = 64
"""Characters, in the service."""
_LONGEST_NAME = 4096
_MOST_ATTEMPTS = 50
_MOST_MISSED = 5
"""Attempts in a row without a job, after which no more of them are looked for: each removes those before it."""


@dataclass(frozen=True)
class Submitted:
    """A run of the workspace."""

    run_id: int
    page: str
    """Its page, for a person."""
    earlier: bool
    """Whether it was there already: another call has started it, with this token."""
    job_id: int | None
    """The job that was made for it, and goes with it."""
    is_ours: bool = True
    """Whether we have started it, now or earlier, and not somebody else."""
    place: str = ""
    """The folder of its code."""
    failed_before: tuple["Submitted", ...] = ()
    """The runs with the same token that had failed when it was started, oldest first."""


class UncertainError(WorkshopError):
    """The service has not answered whether it starts the run."""


class StoppedError(KeyboardInterrupt):
    """Somebody has stopped us while the run was being started."""

    def __init__(self, submitted: Submitted | None) -> None:
        """Take what is known of the run; nothing where it is not even known whether there is one."""
        super().__init__()
        self.submitted = submitted


def token(settings: DatabricksSettings, what: str) -> str:
    """What tells this run from any other: the same for each attempt of one job of one pipeline's run, else a new one.

    Args:
        settings: which may name one.
        what: is run, with everything that it is told: two things are two runs, whatever else is the same.
    """
    if settings.idempotency_token:
        given = [settings.idempotency_token]
    elif pipelines_run():
        given = [pipelines_run()]
    else:
        given = [uuid.uuid4().hex]
    return hashlib.sha256("\n".join([*given, what]).encode("utf-8")).hexdigest()[:40]


def pipelines_run() -> str:
    """What tells this job of this run of a pipeline from any other; empty outside a pipeline."""
    if not os.environ.get("BUILD_BUILDID"):
        return ""
    return hashlib.sha256("\n".join(os.environ.get(name, "") for name in _A_PIPELINES_RUN).encode()).hexdigest()[:40]


def submit(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> Submitted:
    """Start the run, or find the one that was started with this token before and still runs or has succeeded.

    One that was started before and has failed is what a retry is for: that starts another.

    Raises:
        UncertainError: the workspace does not answer.
        WorkshopError: it refuses the run.
        StoppedError: somebody wants to stop.
    """
    ours = next(iter(work.base_parameters.values()))[SUBMISSION]
    failed: list[Submitted] = []
    for attempt in _attempts(token):
        started: list[Submitted] = []
        try:
            # What makes something comes to its end, so that we know what it has made.
            with _uncertain(), explained("submit the run"), interruption.held():
                run_id, job_id = _start(client, work, settings, attempt)
                started.append(Submitted(run_id, "", False, job_id, failed_before=tuple(failed)))
            run = _first_look_at(client, run_id, settings)
        except KeyboardInterrupt as error:
            raise StoppedError(started[0] if started else None) from error
        given = parameters_of(run)
        # Where the service does not tell a run's parameters it is taken for ours, so that no other is started after it.
        earlier = given.get(SUBMISSION, ours) != ours
        submitted = Submitted(
            run_id, page_of(run), earlier, job_id, place=given.get(PLACE, ""), failed_before=tuple(failed)
        )
        if not earlier or not has_failed(run):
            return submitted
        failed.append(submitted)
    raise WorkshopError(
        f"This run has been started {_MOST_ATTEMPTS} times and has failed each time: see {submitted.page}, and start "
        "it by hand when that is mended."
    )


def find(client: WorkspaceClient, token: str) -> list[Submitted]:
    """The active runs that were started with that token, by whichever call.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    with explained("look for runs that are still active"):
        every = patiently(client, lambda: list(client.jobs.list_runs(active_only=True)))
        return [
            Submitted(run.run_id, page_of(run), True, job_of(run))
            for run in every
            if run.run_id is not None and any(word.startswith(token) for word in (run.run_name or "").split())
        ]


def is_of(client: WorkspaceClient, run_id: int, submission: str) -> bool:
    """Whether that very call has started the run.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    with explained(f"look at the run {run_id}"):
        return parameters_of(patiently(client, lambda: client.jobs.get_run(run_id))).get(SUBMISSION) == submission


def page_of(run: jobs.Run | jobs.BaseRun) -> str:
    """The address of a run's page, for a person; empty where it is none."""
    page = harmless(run.run_page_url or "")
    return page if page.startswith(("https://", "http://")) and not any(each.isspace() for each in page) else ""


def job_of(run: jobs.Run | jobs.BaseRun) -> int | None:
    """The job that was made for a run of ours; None where it needed none, or has one that stays, as a bundle's."""
    was_made = run.run_type == jobs.RunType.JOB_RUN and _MADE_FOR_A_RUN.fullmatch(run.run_name or "")
    return run.job_id if was_made else None


def forget_job(client: WorkspaceClient, job_id: int | None) -> None:
    """Remove the job that was made for a run; the run and its page stay."""
    if job_id is not None:
        with explained(f"remove the job {job_id}"):
            try:
                patiently(client, lambda: client.jobs.delete(job_id))
            except (NotFound, BadRequest) as error:
                if isinstance(error, BadRequest) and "does not exist" not in str(error):
                    raise


def forget_jobs(client: WorkspaceClient, token: str, submission: str) -> None:
    """Remove the jobs that were made for the runs of a token by that very call, which may not have heard of it.

    Raises:
        WorkshopError: there is no right to, or the service does not answer.
    """
    with explained("look for jobs that were made for the run"):
        missed = 0
        own: list[int | None] = []
        for attempt in _attempts(token):
            made = patiently(client, partial(_jobs_named, client, _name_of_job(attempt)))
            for job in made:
                if job.settings is not None and parameters_of(job.settings).get(SUBMISSION) == submission:
                    own.append(job.job_id)
            missed = 0 if made else missed + 1
            if missed == _MOST_MISSED:
                break
        for job_id in reversed(own):  # what is left, if somebody stops us, is still found from the first one on
            forget_job(client, job_id)


def look_at(client: WorkspaceClient, run_id: int) -> jobs.Run | None:
    """The run as it is now, or None where nobody answers for the moment.

    Raises:
        WorkshopError: it can't be looked at, now or later.
    """
    with explained(f"look at the run {run_id}"):
        try:
            return client.jobs.get_run(run_id)
        except LOST:
            return None


def parameters_of(what: jobs.Run | jobs.JobSettings) -> dict[str, str]:
    """What a run or a job gives to all of its notebooks, and to some of them."""
    found: dict[str, str] = {}
    tasks: Iterable[jobs.RunTask | jobs.Task] = what.tasks or []
    for task in tasks:
        given = task.notebook_task.base_parameters if task.notebook_task is not None else None
        if isinstance(given, dict):  # the SDK hands on what it gets
            found.update({harmless(str(name)): harmless(str(value)) for name, value in given.items()})
    return found


def has_failed(run: jobs.Run) -> bool:
    """Whether it has ended, and not well."""
    state = run.state
    return state is not None and state.life_cycle_state in ENDED and state.result_state != jobs.RunResultState.SUCCESS


def _attempts(token: str) -> Iterator[str]:
    yield token
    for number in range(2, _MOST_ATTEMPTS + 1):
        yield f"{token}-{number}"[:_LONGEST_TOKEN]


def _jobs_named(client: WorkspaceClient, name: str) -> list[jobs.BaseJob]:
    return list(client.jobs.list(name=name, expand_tasks=True))


def _name_of_job(token: str) -> str:
    return f"workshop {token}"


@contextmanager
def _uncertain() -> Iterator[None]:
    """Tell a service that refuses from one that has not answered, and may do so yet."""
    try:
        yield
    except WorkshopError as error:
        reason: BaseException | None = error.__cause__
        while isinstance(reason, TimeoutError) and reason.__cause__ is not None:
            reason = reason.__cause__
        if isinstance(reason, LOST) and not isinstance(reason, TooManyRequests):
            raise UncertainError(str(error)) from error
        raise


def _start(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> tuple[int, int | None]:
    """The ids of the run and of the job that was made for it, if one had to be."""
    if settings.compute != "job_cluster":
        named = replace(work, title=f"{work.title} {token}"[-_LONGEST_NAME:])
        submission = job.submission(named, settings)
        return int(patiently(client, lambda: client.jobs.submit(idempotency_token=token, **submission).run_id)), None
    job_id = _job_for(client, work, settings, token)
    return int(patiently(client, lambda: client.jobs.run_now(job_id, idempotency_token=token).run_id)), job_id


def _job_for(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> int:
    """The job to run: a run without one starts a cluster for each notebook.

    It is named by the token, so that a retry finds the one that has run. One that has not is its maker's own, who may
    be about to run it or to remove it.
    """
    named = replace(work, title=_name_of_job(token))
    for found in client.jobs.list(name=named.title):
        if found.job_id is not None and next(iter(client.jobs.list_runs(job_id=found.job_id, limit=1)), None):
            return found.job_id
    job_id = client.jobs.create(**job.job(named, settings)).job_id
    if job_id is None:
        raise WorkshopError("The workspace has made a job and does not say which: look under Jobs, and remove it.")
    return job_id


def _first_look_at(client: WorkspaceClient, run_id: int, settings: DatabricksSettings) -> jobs.Run:
    deadline = time.monotonic() + settings.timeout_minutes * 60
    while (run := look_at(client, run_id)) is None:
        interruption.check()
        if time.monotonic() > deadline:
            raise WorkshopError(f"The run {run_id} was submitted, and the workspace has not answered since.")
        Event().wait(settings.poll_seconds)
    return run
