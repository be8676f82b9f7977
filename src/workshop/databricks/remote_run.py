"""One run in the workspace: submitted, followed, cancelled, and cleaned up after."""

import hashlib
import os
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Literal, NoReturn

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import TooManyRequests
from databricks.sdk.service import jobs
from pydantic import BaseModel

from workshop.core.errors import WorkshopError
from workshop.databricks import job, upload
from workshop.databricks.errors import explained, last_attempt
from workshop.databricks.job import CODE_FOLDER, SUBMISSION, Work, has_ended, page_of, parameters_of
from workshop.databricks.retries import LOST, in_a_hurry, patiently
from workshop.databricks.settings import PREFIX, DatabricksSettings
from workshop.runner import interruption

State = Literal["new", "submitted", "running", "ended", "lost"]
Origin = Literal["here", "earlier", "foreign"]
_PIPELINE_JOB = (
    "SYSTEM_COLLECTIONURI",
    "SYSTEM_TEAMPROJECTID",
    "BUILD_BUILDID",
    "SYSTEM_STAGENAME",
    "SYSTEM_STAGEATTEMPT",
    "SYSTEM_JOBNAME",
    "SYSTEM_JOBATTEMPT",
)
_GRACE = 120
"""Seconds beyond the run's own limit in which the service can end the run itself."""
_SECONDS_TO_CANCEL = 60


class RunMarker(BaseModel):
    """The identity of a run that this machine submits; `leftovers` keeps it in a file until nothing is left."""

    host: str
    """Of the workspace."""
    submission_id: str
    """A parameter of the run: identifies the call that started it."""
    pid: int
    """The process that follows the run, while it holds the lock."""
    pipelines_run: str
    """Identifies the attempt of a pipeline's job; empty outside a pipeline."""
    token: str
    """The idempotency token, which is also in the name of a submitted run."""
    place: str
    """The workspace folder of the run's code; empty for a deployed job."""
    job_id: int = 0
    """The deployed job; 0 for a run without a job."""


class RemoteRun:
    """One run in the workspace; its state and its origin decide what is cancelled and cleaned up.

    State:
        new: nothing was requested.
        submitted: the start was requested and not answered, so the run may exist.
        running: the run exists and is active.
        ended: nothing of the run is active; what it left can be removed.
        lost: the workspace did not answer to the start, or the run could not be cancelled; it may go on.

    Origin:
        here: started by this process. Ctrl-C, the time-out and any error cancel it.
        earlier: started by another call of the same user. Ctrl-C and the time-out cancel it, an error does not.
        foreign: started by another user. It is neither cancelled nor cleaned up after.
    """

    def __init__(self, client: WorkspaceClient, say: Callable[[str], None], marker: RunMarker | None = None) -> None:
        self.client = client
        self.marker = marker
        self.state: State = "new"
        self.origin: Origin = "here"
        self.run_id: int | None = None
        self.page = ""
        self._say = say
        self._code_folder = ""
        self._announced = False

    @classmethod
    def existing(
        cls, client: WorkspaceClient, say: Callable[[str], None], run: jobs.Run, origin: Origin
    ) -> "RemoteRun":
        """Return the handle of a run that was started before."""
        found = cls(client, say)
        found.origin = origin
        found._update(run)
        return found

    @property
    def may_start_yet(self) -> bool:
        """Whether the workspace may still start a run that it has not confirmed."""
        return self.run_id is None and self.state in ("submitted", "lost")

    def submit(self, work: Work, settings: DatabricksSettings) -> None:
        """Start the run, or find the one that was started with the same token.

        Raises:
            WorkshopError: the workspace refuses it (`ended`) or does not answer (`lost`).
            KeyboardInterrupt: the state is `running` where the workspace answered before, otherwise `submitted`.
        """
        assert self.marker is not None, "a run that is submitted has a marker"
        self.state = "submitted"
        try:
            # The request is completed before Ctrl-C takes effect, so that the run's id is known.
            with explained("submit the run"), interruption.held():
                self.run_id = job.start(self.client, work, settings, self.marker.token)
                self.state = "running"
        except WorkshopError as error:
            self.state = "lost" if _is_unanswered(error) else "ended"
            raise

    def follow(self, settings: DatabricksSettings, on_change: Callable[[jobs.Run], None]) -> jobs.Run:
        """Poll the run until it has ended, also through lost connections, and return it.

        Raises:
            WorkshopError: the workspace refuses to show the run, or the run took too long and was cancelled.
            KeyboardInterrupt: the user stops this process.
        """
        seconds = settings.timeout_minutes * 60 + _GRACE
        deadline = time.monotonic() + seconds
        until = f"{datetime.now() + timedelta(seconds=seconds):%H:%M}"
        is_answering = True
        while True:
            run = self.look()
            if (run is not None) != is_answering:
                is_answering = not is_answering
                self._say(
                    "The workspace answers again."
                    if is_answering
                    else f"The workspace does not answer; the run goes on there, and is polled until {until}."
                )
            if run is not None:
                self._announce()
                on_change(run)
                if has_ended(run):
                    return run
            interruption.check()
            if time.monotonic() > deadline:
                self._time_out(settings)
            Event().wait(settings.poll_seconds)

    def look(self) -> jobs.Run | None:
        """Fetch the run and update the state; return None while the workspace does not answer."""
        with explained(f"read the run {self.run_id}"):
            try:
                run = self.client.jobs.get_run(self._known_id)
            except LOST:
                return None
        self._update(run)
        return run

    def find(self) -> bool:
        """Search the active runs for the one that the marker's call started; return whether there is one."""
        assert self.marker is not None, "only a marker identifies a run without an id"
        job_id = self.marker.job_id or None
        with in_a_hurry(self.client), explained("look for runs that are still active"):
            active = patiently(self.client, lambda: list(self.client.jobs.list_runs(active_only=True, job_id=job_id)))
            for each in active:
                if each.run_id is None or not (job_id or self.marker.token in (each.run_name or "")):
                    continue
                run = patiently(self.client, partial(self.client.jobs.get_run, each.run_id))
                is_own = parameters_of(run).get(SUBMISSION) == self.marker.submission_id
                if is_own or each.run_id == self.run_id:
                    self._update(run)
                if is_own:
                    return True
        return False

    def cancel(self) -> jobs.Run | None:
        """Cancel the run and wait until it has ended; return None if it has not within a minute."""
        self.state = "lost"
        with explained(f"cancel the run {self.run_id}"):
            patiently(self.client, lambda: self.client.jobs.cancel_run(self._known_id))
        deadline = time.monotonic() + _SECONDS_TO_CANCEL
        while time.monotonic() < deadline:
            run = self.look()
            if run is not None and has_ended(run):
                return run
            Event().wait(0.2)
        self.state = "lost"
        return None

    def end(self) -> bool:
        """Cancel the run if the marker's call started it, and clean up; return whether nothing is left."""
        with in_a_hurry(self.client):
            if self.state not in ("new", "ended") and self.find():
                if self.cancel() is None:
                    raise WorkshopError(f"The run {self.run_id} was cancelled and has not ended yet: see {self.page}.")
                self._say(f"Cancelled on Databricks: {self.page}")
            return self.clean_up()

    def clean_up(self) -> bool:
        """Remove the run's code from the workspace; return whether that succeeded, and print what is left.

        A failure here must not fail a run that has delivered.
        """
        places = {self.marker.place} if self.marker is not None else set()
        if self.state == "ended" and self.origin != "foreign":
            places.add(self._code_folder)
        is_clean = True
        with in_a_hurry(self.client):
            for place in sorted(places - {""}):
                try:
                    upload.remove(self.client, place)
                except WorkshopError as error:
                    is_clean = False
                    self._say(
                        f"{place} is left in the workspace: {error} `workshop databricks cancel` removes it later, on "
                        "the machine that started the run."
                    )
        return is_clean

    @property
    def _known_id(self) -> int:
        assert self.run_id is not None, "the run is submitted or found before anything else"
        return self.run_id

    def _update(self, run: jobs.Run) -> None:
        given = parameters_of(run)
        self.run_id = run.run_id or self.run_id
        self.page = page_of(run)
        self._code_folder = given.get(CODE_FOLDER, "")
        # A run whose parameters the service does not show is treated as our own, so that an error cancels it.
        if self.marker is not None and given.get(SUBMISSION, self.marker.submission_id) != self.marker.submission_id:
            self.origin = "earlier"
        self.state = "ended" if has_ended(run) else "running"

    def _announce(self) -> None:
        if self._announced:
            return
        self._announced = True
        if self.marker is not None and self.origin == "earlier":
            self._say("This run was started before: no second one is started.")
        self._say(f"On Databricks: {self.page}")

    def _time_out(self, settings: DatabricksSettings) -> NoReturn:
        late = f"The run {self.run_id} has not ended within the {settings.timeout_minutes} minutes that it may take"
        more = f"allow more with {PREFIX}TIMEOUT_MINUTES if it needs more."
        if self.origin == "foreign":
            raise WorkshopError(f"{late}, and is another user's, so it was not cancelled: {more}")
        self.cancel()
        raise WorkshopError(f"{late}, and was cancelled: see its page, and {more}")


def token(settings: DatabricksSettings, what: str) -> str:
    """Return the idempotency token: the same for the same work in one attempt of a pipeline's job, otherwise new.

    Args:
        settings: their `idempotency_token` takes the place of the pipeline's job.
        what: the work with all its parameters; different work gets a different token.
    """
    given = settings.idempotency_token or pipelines_run() or uuid.uuid4().hex
    return _digest(given, what)


def pipelines_run() -> str:
    """Return what identifies this attempt of this job of a pipeline's run; empty outside a pipeline."""
    return _digest(*(os.environ.get(name, "") for name in _PIPELINE_JOB)) if os.environ.get("BUILD_BUILDID") else ""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _is_unanswered(error: WorkshopError) -> bool:
    """Return whether the service may still carry out the request that failed."""
    reason = last_attempt(error.__cause__ or error)
    return isinstance(reason, LOST) and not isinstance(reason, TooManyRequests)
