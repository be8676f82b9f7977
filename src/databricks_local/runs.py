"""Runs: how they begin, what a client reads of them, how they are cancelled.

Where the rules are from:

- Paths and fields; a second request with an idempotency_token (64 characters at most) returns the first run; the
  first 5 MB of a notebook's result: the SDK's docstrings of `JobsAPI` and its dataclasses.
- "Retrieving the output of runs with multiple tasks is not supported. …": the service's answer, quoted in
  databricks-sdk-py issue 997. It holds for a submitted run with one task as well: databricks-sdk-py issue 375.
- A run that does not exist is 400 INVALID_PARAMETER_VALUE: the SDK, `errors/overrides.py`.
- Assumed: cancelling a run that has ended does nothing; cancelling a task's run cancels the whole run; the texts
  of the refusals that are not quoted above.
"""

import html
import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from databricks_local import bodies
from databricks_local.answers import Principal, Request, Route, invalid
from databricks_local.run_state import Run, TaskRun

_LONGEST_TOKEN = 64
_LONGEST_RESULT = 5 * 1024 * 1024


class Executor(Protocol):
    """Executes runs."""

    def start(self, run: Run) -> None:
        """Execute the run in a thread of its own."""

    def stop(self, run: Run, result: str) -> None:
        """End the run with this result, whatever it is doing."""


class Runs:
    """The workspace's runs."""

    def __init__(self, host: str, workspace_id: str, executor: Executor) -> None:
        self._host = host
        self._workspace_id = workspace_id
        self._executor = executor
        self._tokens: dict[str, int] = {}
        self.numbers = itertools.count(int(time.time() * 1000))
        """Ids of jobs and runs."""
        self.lock = threading.RLock()
        """Held while a run begins or its state is read."""
        self.runs: dict[int, Run] = {}

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        jobs = r"/api/2\.[12]/jobs"
        return [
            ("GET", rf"{jobs}/runs/get", self._get),
            ("GET", rf"{jobs}/runs/get-output", self._get_output),
            ("POST", rf"{jobs}/runs/cancel", self._cancel),
            ("GET", rf"{jobs}/runs/export", self._export),
            ("GET", rf"{jobs}/runs/list", self._list),
        ]

    def active(self) -> list[Run]:
        """Return the runs that have not ended."""
        with self.lock:
            return [run for run in self.runs.values() if not run.ended]

    def known(self, token: str | None) -> int | None:
        """Return the run that this idempotency token has started."""
        if token is not None and len(token) > _LONGEST_TOKEN:
            raise invalid(f"The idempotency token must have at most {_LONGEST_TOKEN} characters.")
        return self._tokens.get(token) if token else None

    def create(
        self,
        job_id: int,
        body: bodies.Submit | bodies.CreateJob,
        sent: dict[str, Any],
        creator: Principal,
    ) -> Run:
        """Return a new run of these tasks, which has not begun."""
        run_id = next(self.numbers)
        place = f"{self._host}/?o={self._workspace_id}#job/{job_id}/run"
        run = Run(
            run_id=run_id,
            job_id=job_id,
            name=body.run_name if isinstance(body, bodies.Submit) else body.name,
            creator=creator,
            page=f"{place}/{run_id}",
            timeout=body.timeout_seconds,
            environments={each.environment_key: each.spec or bodies.EnvironmentSpec() for each in body.environments},
            git_source=body.git_source,
            sent=sent,
            run_type="SUBMIT_RUN" if isinstance(body, bodies.Submit) else "JOB_RUN",
        )
        described = {each["task_key"]: each for each in sent["tasks"]}
        for task in body.tasks:
            number = next(self.numbers)
            run.tasks[task.task_key] = TaskRun(
                run_id=number, parent=run_id, task=task, sent=described[task.task_key], page=f"{place}/{number}"
            )
        return run

    def begin(self, run: Run, token: str | None, *, queued: bool = False) -> None:
        """Execute the run, or skip it if it must wait for another but may not queue."""
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

    def _get(self, request: Request) -> dict[str, Any]:
        run, task = self._find(number_in(request, "run_id"))
        with self.lock:
            return run.described() if task is None else task.described_as_run(run)

    def _get_output(self, request: Request) -> dict[str, Any]:
        run, task = self._find(number_in(request, "run_id"))
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
        _, task = self._find(number_in(request, "run_id"))
        if task is None:
            raise invalid("Exporting the views of runs with multiple tasks is not supported.")
        if task.executed is None or not task.executed.exists():
            raise invalid(f"Run {task.run_id} has nothing to export.")
        name = task.task.notebook_task.notebook_path if task.task.notebook_task else task.key
        page = f"<!DOCTYPE html><html><body>{_as_page(task.executed)}</body></html>"
        return {"views": [{"content": page, "name": name.rpartition("/")[2], "type": "NOTEBOOK"}]}

    def _list(self, request: Request) -> dict[str, Any]:
        job_id = number_in(request, "job_id") if "job_id" in request.query else None
        with self.lock:
            found = [run for run in self.runs.values() if job_id in (None, run.job_id)]
        if request.query.get("active_only") == "true":
            found = [run for run in found if not run.ended]
        described = [run.described() for run in reversed(found)]
        if request.query.get("expand_tasks") != "true":
            for each in described:
                del each["tasks"]
        return {"runs": described, "has_more": False} if described else {"has_more": False}

    def _find(self, run_id: int) -> tuple[Run, TaskRun | None]:
        with self.lock:
            if run_id in self.runs:
                return self.runs[run_id], None
            for run in self.runs.values():
                for task in run.tasks.values():
                    if task.run_id == run_id:
                        return run, task
        raise invalid(f"Run {run_id} does not exist.")


def _as_page(executed: Path) -> str:
    """Return a plain page of the notebook; the service's page draws it with a script."""
    shown = ["<p>The executed notebook as plain text and pictures; Databricks shows it as a notebook.</p>"]
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        shown.append(f"<pre>{html.escape(''.join(cell['source']))}</pre>")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                shown.append(f'<img src="data:image/png;base64,{"".join(data["image/png"])}">')
            elif text := "".join(output.get("text", data.get("text/plain", output.get("traceback", "")))):
                shown.append(f"<pre>{html.escape(text)}</pre>")
    return "".join(shown)


def number_in(request: Request, name: str) -> int:
    """Return a number of the request's query."""
    try:
        return int(request.query[name])
    except KeyError as error:
        raise invalid(f"Missing required field: {name}") from error
    except ValueError as error:
        raise invalid(f"Invalid value for field {name}: {request.query[name]!r}") from error
