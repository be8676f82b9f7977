"""Starts a run in the workspace, once, however often it is asked for with the same token."""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import TypeVar

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    DeadlineExceeded,
    InternalError,
    NotFound,
    TemporarilyUnavailable,
    TooManyRequests,
)
from databricks.sdk.retries import retried
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.headless import interruption
from workshop.headless.databricks import definition
from workshop.headless.databricks.definition import Work
from workshop.headless.databricks.errors import explained
from workshop.headless.databricks.settings import DatabricksSettings

RUN_ID = "WORKSHOP_RUN_ID"
SUBMISSION = "WORKSHOP_SUBMISSION"
"""The parameter of a run that says which call has started it; run ids of two machines may be the same."""
ENDED = (jobs.RunLifeCycleState.TERMINATED, jobs.RunLifeCycleState.SKIPPED, jobs.RunLifeCycleState.INTERNAL_ERROR)
LOST = (
    requests.ConnectionError,
    requests.Timeout,
    TimeoutError,
    ConnectionError,
    TemporarilyUnavailable,
    DeadlineExceeded,
    InternalError,
    TooManyRequests,
)
"""What a call fails with when the service or the way to it is out of order for a while, after the SDK's own retries."""
_A_PIPELINES_RUN = (
    "SYSTEM_COLLECTIONURI",
    "SYSTEM_TEAMPROJECTID",
    "BUILD_BUILDID",
    "SYSTEM_STAGENAME",
    "SYSTEM_JOBNAME",
)
_LONGEST_TOKEN = 64
"""Characters, in the service."""
_LONGEST_NAME = 4096
_MOST_ATTEMPTS = 50
T = TypeVar("T")


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


def token(settings: DatabricksSettings, what: str) -> str:
    """What tells this run from any other: the same for each attempt of one job of one pipeline's run, else a new one.

    Args:
        settings: which may name one.
        what: is run, with everything that it is told: two things are two runs, whatever else is the same.
    """
    if settings.idempotency_token:
        given = [settings.idempotency_token]
    elif os.environ.get("BUILD_BUILDID"):
        given = [os.environ.get(name, "") for name in _A_PIPELINES_RUN]
    else:
        given = [uuid.uuid4().hex]
    return hashlib.sha256("\n".join([*given, what]).encode("utf-8")).hexdigest()[:40]


def submit(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> Submitted:
    """Start the run, or find the one that was started with this token before and still runs or has succeeded.

    One that was started before and has failed is what a retry is for: that starts another.

    Raises:
        WorkshopError: the workspace refuses it, or does not answer.
    """
    for attempt in _attempts(token):
        with explained("submit the run"):
            run_id, job_id = _start(client, work, settings, attempt)
        run = _first_look_at(client, run_id, settings)
        earlier = run_parameters(run).get(SUBMISSION) != next(iter(work.base_parameters.values()))[SUBMISSION]
        submitted = Submitted(run_id, run.run_page_url or "", earlier, job_id)
        if not earlier or not has_failed(run):
            return submitted
        forget_job(client, job_id)
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
            Submitted(run.run_id, run.run_page_url or "", True, job_of(run))
            for run in every
            if run.run_id is not None and any(word.startswith(token) for word in (run.run_name or "").split())
        ]


def is_of(client: WorkspaceClient, run_id: int, submission: str) -> bool:
    """Whether that very call has started the run.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    with explained(f"look at the run {run_id}"):
        return run_parameters(patiently(client, lambda: client.jobs.get_run(run_id))).get(SUBMISSION) == submission


def job_of(run: jobs.Run | jobs.BaseRun) -> int | None:
    """The job that was made for a run of ours; None where it needed none."""
    return run.job_id if run.run_type == jobs.RunType.JOB_RUN else None


def forget_job(client: WorkspaceClient, job_id: int | None) -> None:
    """Remove the job that was made for a run; the run and its page stay."""
    if job_id is not None:
        with explained(f"remove the job {job_id}"), suppress(NotFound):
            patiently(client, lambda: client.jobs.delete(job_id))


def patiently(client: WorkspaceClient, call: Callable[[], T]) -> T:
    """Call again, for as long as the client may, what has failed because the service or the way to it was out of order.

    The SDK does so by itself for some failures and not for others: not for an error 500, nor for an upload.
    """
    seconds = timedelta(seconds=client.config.retry_timeout_seconds or 300)
    again: Callable[[], T] = retried(on=LOST, timeout=seconds)(call)
    return again()


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


def run_parameters(run: jobs.Run) -> dict[str, str]:
    """What a run has given to all of its notebooks, and to some of them."""
    found: dict[str, str] = {}
    for task in run.tasks or []:
        if task.notebook_task is not None:
            found.update(task.notebook_task.base_parameters or {})
    return found


def has_failed(run: jobs.Run) -> bool:
    """Whether it has ended, and not well."""
    state = run.state
    return state is not None and state.life_cycle_state in ENDED and state.result_state != jobs.RunResultState.SUCCESS


def _attempts(token: str) -> Iterator[str]:
    yield token
    for number in range(2, _MOST_ATTEMPTS + 1):
        yield f"{token}-{number}"[:_LONGEST_TOKEN]


def _start(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> tuple[int, int | None]:
    """The ids of the run and of the job that was made for it, if one had to be."""
    if settings.compute != "job_cluster":
        named = replace(work, title=f"{work.title} {token}"[-_LONGEST_NAME:])
        submission = definition.submission(named, settings)
        return int(patiently(client, lambda: client.jobs.submit(idempotency_token=token, **submission).run_id)), None
    # A run without a job starts a cluster for each notebook. The job is named by the token, so that a retry finds it.
    named = replace(work, title=f"workshop {token}")
    job = next(iter(client.jobs.list(name=named.title)), None)
    job_id = job.job_id if job is not None else client.jobs.create(**definition.job(named, settings)).job_id
    if job_id is None:
        raise WorkshopError("The workspace has made a job and does not say which: look under Jobs, and remove it.")
    try:
        return int(patiently(client, lambda: client.jobs.run_now(job_id, idempotency_token=token).run_id)), job_id
    except BaseException:
        if job is None:
            with suppress(WorkshopError):  # what is about to be raised says what is wrong
                forget_job(client, job_id)
        raise


def _first_look_at(client: WorkspaceClient, run_id: int, settings: DatabricksSettings) -> jobs.Run:
    deadline = time.monotonic() + settings.timeout_minutes * 60
    while (run := look_at(client, run_id)) is None:
        interruption.check()
        if time.monotonic() > deadline:
            raise WorkshopError(f"The run {run_id} was submitted, and the workspace has not answered since.")
        Event().wait(settings.poll_seconds)
    return run
