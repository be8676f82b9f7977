"""Jobs and their runs: how they are created, told, cancelled.

Where the rules are from:

- Paths and fields; a second request with an idempotency_token (64 characters at most) returns the first run;
  max_concurrent_runs and queueing; the first 5 MB of a notebook's result: the SDK's docstrings of `JobsAPI` and its
  dataclasses.
- "Retrieving the output of runs with multiple tasks is not supported. …": the service's answer, quoted in
  databricks-sdk-py issue 997. It holds for a submitted run with one task as well: databricks-sdk-py issue 375.
- A job or run that does not exist is 400 INVALID_PARAMETER_VALUE: the SDK, `errors/overrides.py`.
- notebook_params are limited to 10,000 bytes as JSON: the SDK's docstring of `JobsAPI.run_now`.
- Our reading: the same limit for job_parameters, and that the job has to declare them; a cluster that is unknown or
  not permitted is refused when the run is submitted; cancelling a run that has ended does nothing; cancelling a
  task's run cancels the whole run; the words of the refusals that are not quoted above.
"""

import html
import itertools
import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from databricks_local import bodies
from databricks_local.answers import Principal, Refused, Request, Route, invalid
from databricks_local.job_rules import PARAMETER_NAME, check_name, check_new_cluster, check_tasks, check_unique
from databricks_local.runs import Run, TaskRun, now

_LONGEST_TOKEN = 64
_MOST_PARAMETERS = 10_000
_LONGEST_RESULT = 5 * 1024 * 1024


class Executor(Protocol):
    """Executes runs."""

    def start(self, run: Run) -> None:
        """Execute this run in a thread of its own."""

    def stop(self, run: Run, result: str) -> None:
        """End this run with that result, whatever it is doing."""


class Clusters(Protocol):
    """The workspace's clusters."""

    def require(self, cluster_id: str) -> dict[str, Any]:
        """The cluster, if the caller may use it."""


@dataclass(frozen=True)
class Job:
    """A job that has been created."""

    job_id: int
    settings: bodies.CreateJob
    sent: dict[str, Any]
    """The settings as they came."""
    creator: Principal
    created: int = field(default_factory=now)


_EXPANDED = ("tasks", "job_clusters")
"""What a list of jobs leaves out unless it is asked for (source: the SDK's docstring of `jobs.list`)."""


class Jobs:
    """The workspace's jobs and runs."""

    def __init__(self, host: str, workspace_id: str, clusters: Clusters, executor: Executor) -> None:
        self._host = host
        self._workspace_id = workspace_id
        self._clusters = clusters
        self._executor = executor
        self._numbers = itertools.count(int(time.time() * 1000))
        self._lock = threading.RLock()
        self._tokens: dict[str, int] = {}
        self.jobs: dict[int, Job] = {}
        self.runs: dict[int, Run] = {}

    def routes(self) -> list[Route]:
        jobs = r"/api/2\.[12]/jobs"
        return [
            ("POST", rf"{jobs}/runs/submit", self._submit),
            ("GET", rf"{jobs}/runs/get", self._get_run),
            ("GET", rf"{jobs}/runs/get-output", self._get_output),
            ("POST", rf"{jobs}/runs/cancel", self._cancel),
            ("GET", rf"{jobs}/runs/export", self._export),
            ("GET", rf"{jobs}/runs/list", self._list_runs),
            ("POST", rf"{jobs}/create", self._create),
            ("GET", rf"{jobs}/get", self._get_job),
            ("GET", rf"{jobs}/list", self._list_jobs),
            ("POST", rf"{jobs}/delete", self._delete),
            ("POST", rf"{jobs}/run-now", self._run_now),
        ]

    def active(self) -> list[Run]:
        """The runs that have not ended."""
        with self._lock:
            return [run for run in self.runs.values() if not run.ended]

    def _submit(self, request: Request) -> dict[str, Any]:
        sent = request.json()
        body = bodies.read(bodies.Submit, sent)
        check_name(body.run_name)
        check_tasks(body.tasks, body.environments, body.git_source, job_clusters=())
        self._check_clusters(body.tasks)
        _check_run_as(body.run_as, request.who)
        with self._lock:
            if (known := self._known_run(body.idempotency_token)) is not None:
                return {"run_id": known}
            job = bodies.CreateJob(name=body.run_name, timeout_seconds=body.timeout_seconds, max_concurrent_runs=1)
            run = self._new_run(next(self._numbers), job, body.tasks, request.who, body, sent)
            run.run_type = "SUBMIT_RUN"
            self._begin(run, body.idempotency_token)
            return {"run_id": run.run_id}

    def _create(self, request: Request) -> dict[str, Any]:
        sent = request.json()
        body = bodies.read(bodies.CreateJob, sent)
        self._check_job(body, request.who)
        with self._lock:
            job = Job(next(self._numbers), body, sent, request.who)
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
        with self._lock:
            job = self._job(body.job_id)
            self._check_clusters(job.settings.tasks)
            declared = {parameter.name: parameter.default for parameter in job.settings.parameters}
            if unknown := sorted(set(body.job_parameters) - set(declared)):
                raise invalid(f"Job parameters {', '.join(unknown)} are not defined in job {job.job_id}.")
            if (known := self._known_run(body.idempotency_token)) is not None:
                return {"run_id": known, "number_in_job": known}
            run = self._new_run(job.job_id, job.settings, job.settings.tasks, request.who, job.settings, job.sent)
            run.job_parameters = {**declared, **body.job_parameters}
            for task in run.tasks.values():
                task.overrides = {**run.job_parameters, **body.notebook_params}
            busy = [other for other in self.active() if other.job_id == job.job_id]
            queue = body.queue or job.settings.queue
            if len(busy) >= job.settings.max_concurrent_runs:
                run.waits_for = busy
            self._begin(run, body.idempotency_token, queued=queue is not None and queue.enabled)
            return {"run_id": run.run_id, "number_in_job": run.run_id}

    def _known_run(self, token: str | None) -> int | None:
        if token is not None and len(token) > _LONGEST_TOKEN:
            raise invalid(f"The idempotency token must have at most {_LONGEST_TOKEN} characters.")
        return self._tokens.get(token) if token else None

    def _new_run(
        self,
        job_id: int,
        settings: bodies.CreateJob,
        tasks: Sequence[bodies.Task],
        creator: Principal,
        body: "bodies.Submit | bodies.CreateJob",
        sent: dict[str, Any],
    ) -> Run:
        run_id = next(self._numbers)
        place = f"{self._host}/?o={self._workspace_id}#job/{job_id}/run"
        run = Run(
            run_id=run_id,
            job_id=job_id,
            name=settings.name,
            creator=creator,
            page=f"{place}/{run_id}",
            timeout=settings.timeout_seconds,
            environments={each.environment_key: each.spec or bodies.EnvironmentSpec() for each in body.environments},
            git_source=body.git_source,
            sent=sent,
        )
        described = {each["task_key"]: each for each in sent["tasks"]}
        for task in tasks:
            number = next(self._numbers)
            run.tasks[task.task_key] = TaskRun(
                run_id=number, parent=run_id, task=task, sent=described[task.task_key], page=f"{place}/{number}"
            )
        return run

    def _begin(self, run: Run, token: str | None, *, queued: bool = False) -> None:
        self.runs[run.run_id] = run
        if token:
            self._tokens[token] = run.run_id
        if run.waits_for and not queued:
            message = "The maximum number of concurrent runs of the job has been reached."
            run.finish("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "MAX_CONCURRENT_RUNS_EXCEEDED", message)
            for task in run.tasks.values():
                task.finish("SKIPPED", None, "SKIPPED", message)
            return
        self._executor.start(run)

    def _check_clusters(self, tasks: Iterable[bodies.Task]) -> None:
        for task in tasks:
            if task.existing_cluster_id is not None:
                self._clusters.require(task.existing_cluster_id)

    def _get_run(self, request: Request) -> dict[str, Any]:
        run, task = self._find(_number(request, "run_id"))
        with self._lock:
            return run.described() if task is None else task.described_as_run(run)

    def _get_output(self, request: Request) -> dict[str, Any]:
        run, task = self._find(_number(request, "run_id"))
        if task is None:
            raise invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        answer: dict[str, Any] = {"metadata": task.described_as_run(run), "notebook_output": {}}
        if task.result is not None:
            content = task.result.encode()
            cut = content[:_LONGEST_RESULT].decode(errors="ignore")
            answer["notebook_output"] = {"result": cut, "truncated": len(content) > _LONGEST_RESULT}
        if task.error is not None:
            answer["error"] = task.error
        if task.error_trace is not None:
            answer["error_trace"] = task.error_trace
        return answer

    def _cancel(self, request: Request) -> dict[str, Any]:
        run, _ = self._find(bodies.read(bodies.RunId, request.json()).run_id)
        self._executor.stop(run, "CANCELED")
        return {}

    def _export(self, request: Request) -> dict[str, Any]:
        _, task = self._find(_number(request, "run_id"))
        if task is None:
            raise invalid("Exporting the views of runs with multiple tasks is not supported.")
        if task.executed is None or not task.executed.exists():
            raise invalid(f"Run {task.run_id} has nothing to export.")
        name = task.task.notebook_task.notebook_path if task.task.notebook_task else task.key
        page = f"<!DOCTYPE html><html><body>{_as_page(task.executed)}</body></html>"
        return {"views": [{"content": page, "name": name.rpartition("/")[2], "type": "NOTEBOOK"}]}

    def _list_runs(self, request: Request) -> dict[str, Any]:
        job_id = _number(request, "job_id") if "job_id" in request.query else None
        with self._lock:
            found = [run for run in self.runs.values() if job_id in (None, run.job_id)]
        if request.query.get("active_only") == "true":
            found = [run for run in found if not run.ended]
        described = [run.described() for run in reversed(found)]
        if request.query.get("expand_tasks") != "true":
            for each in described:
                del each["tasks"]
        return {"runs": described, "has_more": False} if described else {"has_more": False}

    def _get_job(self, request: Request) -> dict[str, Any]:
        return _described(self._job(_number(request, "job_id")))

    def _list_jobs(self, request: Request) -> dict[str, Any]:
        name = request.query.get("name", "").lower()
        with self._lock:
            found = [job for job in self.jobs.values() if not name or job.settings.name.lower() == name]
        described = [_described(job) for job in found]
        if request.query.get("expand_tasks") != "true":
            for each in described:
                each["settings"] = {name: said for name, said in each["settings"].items() if name not in _EXPANDED}
        return {"jobs": described, "has_more": False} if described else {"has_more": False}

    def _delete(self, request: Request) -> dict[str, Any]:
        with self._lock:
            job = self._job(bodies.read(bodies.JobId, request.json()).job_id)
            del self.jobs[job.job_id]
        return {}

    def _job(self, job_id: int) -> Job:
        if job_id not in self.jobs:
            raise invalid(f"Job {job_id} does not exist.")
        return self.jobs[job_id]

    def _find(self, run_id: int) -> tuple[Run, TaskRun | None]:
        with self._lock:
            if run_id in self.runs:
                return self.runs[run_id], None
            for run in self.runs.values():
                for task in run.tasks.values():
                    if task.run_id == run_id:
                        return run, task
        raise invalid(f"Run {run_id} does not exist.")


def _described(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "creator_user_name": job.creator.user_name,
        "run_as_user_name": job.creator.user_name,
        "created_time": job.created,
        "settings": {**job.sent, "format": "MULTI_TASK"},
    }


def _as_page(executed: Path) -> str:
    """A page to look at; the service's own draws the notebook with a script."""
    shown = ["<p>A stand-in's page of the executed notebook: a workspace draws it as it is.</p>"]
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        shown.append(f"<pre>{html.escape(''.join(cell['source']))}</pre>")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                shown.append(f'<img src="data:image/png;base64,{"".join(data["image/png"])}">')
            elif text := "".join(output.get("text", data.get("text/plain", output.get("traceback", "")))):
                shown.append(f"<pre>{html.escape(text)}</pre>")
    return "".join(shown)


def _number(request: Request, name: str) -> int:
    try:
        return int(request.query[name])
    except KeyError as error:
        raise invalid(f"Missing required field: {name}") from error
    except ValueError as error:
        raise invalid(f"Invalid value for field {name}: {request.query[name]!r}") from error


def _check_run_as(run_as: bodies.RunAs | None, who: Principal) -> None:
    named = [each for each in (run_as.service_principal_name, run_as.user_name) if each] if run_as is not None else []
    if named not in ([], [who.user_name]):
        raise Refused(403, "PERMISSION_DENIED", f"{who.user_name} is not allowed to run as {', '.join(named)}.")
