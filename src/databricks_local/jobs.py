"""Jobs: how they are created, listed, deleted, and which runs begin.

Where the rules are from:

- Paths and fields; max_concurrent_runs and queueing: the SDK's docstrings of `JobsAPI` and its dataclasses.
- A job that does not exist is 400 INVALID_PARAMETER_VALUE: the SDK, `errors/overrides.py`.
- notebook_params are limited to 10,000 bytes as JSON: the SDK's docstring of `JobsAPI.run_now`.
- Assumed: the same limit for job_parameters, and that the job has to declare them; a cluster that is unknown or
  not permitted is refused when the run is submitted; the texts of the refusals.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from databricks_local import bodies
from databricks_local.answers import Principal, Refused, Request, Route, invalid
from databricks_local.job_rules import PARAMETER_NAME, check_name, check_new_cluster, check_tasks, check_unique
from databricks_local.run_state import now
from databricks_local.runs import Runs, number_in

_MOST_PARAMETERS = 10_000


class Clusters(Protocol):
    """The workspace's clusters."""

    def require(self, cluster_id: str) -> dict[str, Any]:
        """Return the cluster, or refuse where the caller may not use it."""


@dataclass(frozen=True)
class Job:
    """A job that has been created."""

    job_id: int
    settings: bodies.CreateJob
    sent: dict[str, Any]
    """The settings as they were sent."""
    creator: Principal
    created: int = field(default_factory=now)


_EXPANDED = ("tasks", "job_clusters")
"""Settings that a list of jobs contains only with expand_tasks (source: the SDK's docstring of `jobs.list`)."""


class Jobs:
    """The workspace's jobs."""

    def __init__(self, runs: Runs, clusters: Clusters) -> None:
        self._runs = runs
        self._clusters = clusters
        self.jobs: dict[int, Job] = {}

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        jobs = r"/api/2\.[12]/jobs"
        return [
            ("POST", rf"{jobs}/runs/submit", lambda request: self.submit(request)),  # noqa: PLW0108  # tests replace it
            ("POST", rf"{jobs}/create", self._create),
            ("GET", rf"{jobs}/get", self._get),
            ("GET", rf"{jobs}/list", self._list),
            ("POST", rf"{jobs}/delete", self._delete),
            ("POST", rf"{jobs}/run-now", self._run_now),
        ]

    def submit(self, request: Request) -> dict[str, Any]:
        """Start a run without a job; tests replace this to act before or after it."""
        sent = request.json()
        body = bodies.read(bodies.Submit, sent)
        check_name(body.run_name)
        check_tasks(body.tasks, body.environments, body.git_source, job_clusters=())
        self._check_clusters(body.tasks)
        _check_run_as(body.run_as, request.who)
        with self._runs.lock:
            if (known := self._runs.known(body.idempotency_token)) is not None:
                return {"run_id": known}
            run = self._runs.create(next(self._runs.numbers), body, sent, request.who)
            self._runs.begin(run, body.idempotency_token)
            return {"run_id": run.run_id}

    def _create(self, request: Request) -> dict[str, Any]:
        sent = request.json()
        body = bodies.read(bodies.CreateJob, sent)
        self._check_job(body, request.who)
        with self._runs.lock:
            job = Job(next(self._runs.numbers), body, sent, request.who)
            self.jobs[job.job_id] = job
        return {"job_id": job.job_id}

    def _check_job(self, body: bodies.CreateJob, who: Principal) -> None:
        check_name(body.name)
        for parameter in body.parameters:
            if not PARAMETER_NAME.fullmatch(parameter.name):
                raise invalid(f"Invalid job parameter name {parameter.name!r}")
        keys = [cluster.job_cluster_key for cluster in body.job_clusters]
        check_unique("job_cluster_key", keys)
        for cluster in body.job_clusters:
            check_new_cluster(cluster.new_cluster)
        check_tasks(body.tasks, body.environments, body.git_source, keys)
        self._check_clusters(body.tasks)
        _check_run_as(body.run_as, who)

    def _run_now(self, request: Request) -> dict[str, Any]:
        sent = request.json()
        body = bodies.read(bodies.RunNow, sent)
        for name in ("job_parameters", "notebook_params"):
            if len(json.dumps({name: sent.get(name, {})}).encode()) > _MOST_PARAMETERS:
                raise invalid(f"The JSON representation of {name} cannot exceed {_MOST_PARAMETERS} bytes.")
        with self._runs.lock:
            job = self._job(body.job_id)
            self._check_clusters(job.settings.tasks)
            declared = {parameter.name: parameter.default for parameter in job.settings.parameters}
            if unknown := sorted(set(body.job_parameters) - set(declared)):
                raise invalid(f"Job parameters {', '.join(unknown)} are not defined in job {job.job_id}.")
            if (known := self._runs.known(body.idempotency_token)) is not None:
                return {"run_id": known, "number_in_job": known}
            run = self._runs.create(job.job_id, job.settings, job.sent, request.who)
            run.job_parameters = {**declared, **body.job_parameters}
            for task in run.tasks.values():
                task.overrides = {**run.job_parameters, **body.notebook_params}
            busy = [other for other in self._runs.active() if other.job_id == job.job_id]
            queue = body.queue or job.settings.queue
            if len(busy) >= job.settings.max_concurrent_runs:
                run.waits_for = busy
            self._runs.begin(run, body.idempotency_token, queued=queue is not None and queue.enabled)
            return {"run_id": run.run_id, "number_in_job": run.run_id}

    def _check_clusters(self, tasks: Iterable[bodies.Task]) -> None:
        for task in tasks:
            if task.existing_cluster_id is not None:
                self._clusters.require(task.existing_cluster_id)

    def _get(self, request: Request) -> dict[str, Any]:
        return _described(self._job(number_in(request, "job_id")))

    def _list(self, request: Request) -> dict[str, Any]:
        name = request.query.get("name", "").lower()
        with self._runs.lock:
            found = [job for job in self.jobs.values() if not name or job.settings.name.lower() == name]
        described = [_described(job) for job in found]
        if request.query.get("expand_tasks") != "true":
            for each in described:
                each["settings"] = {name: value for name, value in each["settings"].items() if name not in _EXPANDED}
        return {"jobs": described, "has_more": False} if described else {"has_more": False}

    def _delete(self, request: Request) -> dict[str, Any]:
        with self._runs.lock:
            job = self._job(bodies.read(bodies.JobId, request.json()).job_id)
            del self.jobs[job.job_id]
        return {}

    def _job(self, job_id: int) -> Job:
        if job_id not in self.jobs:
            raise invalid(f"Job {job_id} does not exist.")
        return self.jobs[job_id]


def _described(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "creator_user_name": job.creator.user_name,
        "run_as_user_name": job.creator.user_name,
        "created_time": job.created,
        "settings": {**job.sent, "format": "MULTI_TASK"},
    }


def _check_run_as(run_as: bodies.RunAs | None, who: Principal) -> None:
    named = [each for each in (run_as.service_principal_name, run_as.user_name) if each] if run_as is not None else []
    if named not in ([], [who.user_name]):
        raise Refused(403, "PERMISSION_DENIED", f"{who.user_name} is not allowed to run as {', '.join(named)}.")
