"""Starts a run in the workspace, once, however often it is asked for with the same token."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    DeadlineExceeded,
    InternalError,
    NotFound,
    TemporarilyUnavailable,
    TooManyRequests,
)
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.headless import interruption
from workshop.headless.databricks import definition
from workshop.headless.databricks.definition import Work
from workshop.headless.databricks.settings import DatabricksSettings
from workshop.headless.databricks.sign_in import explained

RUN_ID = "WORKSHOP_RUN_ID"
ENDED = (jobs.RunLifeCycleState.TERMINATED, jobs.RunLifeCycleState.SKIPPED, jobs.RunLifeCycleState.INTERNAL_ERROR)
_LOST = (
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
_MOST_ATTEMPTS = 50


@dataclass(frozen=True)
class Submitted:
    """A run of the workspace."""

    run_id: int
    page: str
    """Its page, for a person."""
    earlier: bool
    """Whether it was there already: somebody has submitted it with this token before."""
    job_id: int | None
    """The job that was made for it, and goes with it."""


def token(settings: DatabricksSettings, what: str) -> str:
    """What tells this run from any other: the same for each attempt of one job of one pipeline's run, else a new one.

    Args:
        settings: which may name one.
        what: is run, in one line, since one job of a pipeline may run several things.
    """
    if settings.idempotency_token:
        given = settings.idempotency_token
    elif os.environ.get("BUILD_BUILDID"):
        given = "\n".join([*(os.environ.get(name, "") for name in _A_PIPELINES_RUN), what])
    else:
        given = uuid.uuid4().hex
    return hashlib.sha256(given.encode("utf-8")).hexdigest()[:40]


def submit(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> Submitted:
    """Start the run, or find the one that was started with this token before and still runs or has succeeded.

    One that was started before and has failed is what a retry is for: that starts another.

    Raises:
        WorkshopError: the workspace refuses it, or does not answer.
    """
    for attempt in _attempts(token):
        with explained("submit the run"):
            run_id, job_id = _start(client, replace(work, title=f"{work.title} {attempt}"[:4096]), settings, attempt)
        deadline = time.monotonic() + settings.timeout_minutes * 60
        while (run := look_at(client, run_id)) is None:
            interruption.check()
            if time.monotonic() > deadline:
                raise WorkshopError(f"The run {run_id} was submitted, and the workspace has not answered since.")
            Event().wait(settings.poll_seconds)
        earlier = run_parameters(run).get(RUN_ID) != next(iter(work.base_parameters.values()))[RUN_ID]
        submitted = Submitted(run_id, run.run_page_url or "", earlier, job_id)
        if not earlier or not has_failed(run):
            return submitted
        forget_job(client, job_id)
    raise WorkshopError(
        f"This run has been started {_MOST_ATTEMPTS} times and has failed each time: see {submitted.page}, and start "
        "it by hand when that is mended."
    )


def find(client: WorkspaceClient, title: str) -> Submitted | None:
    """The active run with that title, if there is one: somebody has stopped us while it was being submitted.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    with explained("look for the run that has just been submitted"):
        for run in client.jobs.list_runs(active_only=True):
            if run.run_id is not None and (run.run_name or "").startswith(title):
                return Submitted(run.run_id, run.run_page_url or "", False, None)
    return None


def forget_job(client: WorkspaceClient, job_id: int | None) -> None:
    """Remove the job that was made for a run; the run and its page stay."""
    if job_id is not None:
        with explained(f"remove the job {job_id}"), suppress(NotFound):
            client.jobs.delete(job_id)


def look_at(client: WorkspaceClient, run_id: int) -> jobs.Run | None:
    """The run as it is now, or None where nobody answers for the moment.

    Raises:
        WorkshopError: it can't be looked at, now or later.
    """
    with explained(f"look at the run {run_id}"):
        try:
            return client.jobs.get_run(run_id)
        except _LOST:
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
        return int(client.jobs.submit(idempotency_token=token, **definition.submission(work, settings)).run_id), None
    # A run without a job starts a cluster for each notebook. The token is in the title, by which a retry finds the job.
    job = next(iter(client.jobs.list(name=work.title)), None)
    job_id = job.job_id if job is not None else client.jobs.create(**definition.job(work, settings)).job_id
    if job_id is None:
        raise WorkshopError(
            "The workspace has made a job and does not say which: look for it under Jobs, and remove it."
        )
    return int(client.jobs.run_now(job_id, idempotency_token=token).run_id), job_id
