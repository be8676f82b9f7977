"""A run and its tasks: their states, and their JSON.

The JSON contains both forms of a state, `state` and the newer `status` (source: the SDK, `RunState` and `RunStatus`).
The states of each outcome:

- A task after one that failed is SKIPPED with the message "An upstream task failed." (source: the REST reference's
  example of runs/get) and the result UPSTREAM_FAILED (source: the SDK, `RunResultState`).
- A run with a failed task has the code RUN_EXECUTION_ERROR, the type CLIENT_ERROR and the message "Task … failed with
  message: Workload failed, see run output for details. This caused all downstream tasks to get skipped." (source: an
  answer of the service in azure-databricks-client's tests). Its old life_cycle_state has been seen as TERMINATED and
  as INTERNAL_ERROR (sources: dbt-databricks pull request 1477; an answer in a Kubernetes operator's manual):
  TERMINATED is the default here, because it is the one that looks like success; `failed_runs_end_as` chooses.
- A task that was excluded leaves its run a success (assumed from `RunResultState.EXCLUDED`).
- A run over its time has the result TIMEDOUT and the code CANCELED (source: the SDK, `TerminationCodeCode`).
- When a run is cancelled, every task that has not ended is CANCELED; when it is out of time, the tasks that had not
  begun are UPSTREAM_CANCELED (assumed).
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databricks_local import bodies
from databricks_local.answers import Principal

FINAL = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
_SUCCESSES = ("SUCCESS", "SUCCESS_WITH_FAILURES")


def now() -> int:
    """Return the milliseconds since the epoch."""
    return int(time.time() * 1000)


@dataclass
class _Stated:
    """The state of a run or a task."""

    life_cycle_state: str = field(default="PENDING", kw_only=True)
    result_state: str | None = field(default=None, kw_only=True)
    message: str = field(default="", kw_only=True)
    code: str | None = field(default=None, kw_only=True)
    start_time: int = field(default_factory=now, kw_only=True)
    end_time: int = field(default=0, kw_only=True)

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.life_cycle_state in FINAL

    def finish(self, life_cycle: str, result: str | None, code: str, message: str = "") -> None:
        """End in this state."""
        self.end_time = now()
        self.result_state, self.code, self.message = result, code, message
        self.life_cycle_state = life_cycle  # last: a reader that sees the end sees the rest too

    def state(self) -> dict[str, Any]:
        """Return the older form of the state."""
        content: dict[str, Any] = {
            "life_cycle_state": self.life_cycle_state,
            "state_message": self.message,
            "user_cancelled_or_timedout": self.result_state in ("CANCELED", "TIMEDOUT"),
        }
        return {**content, "result_state": self.result_state} if self.result_state is not None else content

    def status(self) -> dict[str, Any]:
        """Return the newer form of the state."""
        if not self.ended:
            return {"state": self.life_cycle_state}
        details = {"code": self.code, "type": _type(self.code), "message": self.message}
        return {"state": "TERMINATED", "termination_details": details}


def _type(code: str | None) -> str:
    if code in ("SUCCESS", "SUCCESS_WITH_FAILURES", "USER_CANCELED", "SKIPPED"):
        return "SUCCESS"
    return code if code in ("INTERNAL_ERROR", "CLOUD_FAILURE") else "CLIENT_ERROR"


@dataclass
class TaskRun(_Stated):
    """One task of a run."""

    run_id: int
    parent: int
    task: bodies.Task
    sent: dict[str, Any]
    """The task as received."""
    page: str
    overrides: dict[str, str] = field(default_factory=dict)
    """Parameters that go before the task's own."""
    begun: int = 0
    """When the notebook began, after its compute was ready; 0 before."""
    result: str | None = None
    """The value that the notebook passed to dbutils.notebook.exit."""
    error: str | None = None
    error_trace: str | None = None
    executed: Path | None = None
    """The executed notebook."""

    @property
    def key(self) -> str:
        """The task's key."""
        return self.task.task_key

    def described(self) -> dict[str, Any]:
        """Return the task as runs/get of its run contains it."""
        end = self.end_time or now()
        return {
            **self.sent,
            "run_id": self.run_id,
            "run_page_url": self.page,
            "state": self.state(),
            "status": self.status(),
            "start_time": self.start_time,
            "setup_duration": self.begun - self.start_time if self.begun else 0,
            "execution_duration": end - self.begun if self.begun and self.ended else 0,
            "cleanup_duration": 0,
            "end_time": self.end_time,
            "attempt_number": 0,
        }

    def described_as_run(self, run: "Run") -> dict[str, Any]:
        """Return the task as runs/get and runs/get-output of its own run contain it."""
        described = self.described()
        del described["task_key"]
        base = {"job_id": run.job_id, "number_in_job": self.run_id, "run_name": self.key, "run_type": run.run_type}
        return {**described, **base, "creator_user_name": run.creator.user_name, "job_run_id": run.run_id}


@dataclass
class Run(_Stated):
    """A run of a job, or a submitted one."""

    run_id: int
    job_id: int
    name: str
    creator: Principal
    page: str
    timeout: int
    """Seconds; 0 for no limit."""
    environments: dict[str, bodies.EnvironmentSpec]
    git_source: bodies.GitSource | None
    sent: dict[str, Any]
    tasks: dict[str, TaskRun] = field(default_factory=dict)
    job_parameters: dict[str, str] = field(default_factory=dict)
    run_type: str = "JOB_RUN"
    waits_for: "list[Run]" = field(default_factory=list)
    """The runs that have to end before this one leaves the queue."""
    stopping: str | None = None
    """The result with which the run was cancelled or has timed out."""

    def described(self) -> dict[str, Any]:
        """Return the run as runs/get contains it."""
        described: dict[str, Any] = {
            "job_id": self.job_id,
            "run_id": self.run_id,
            "number_in_job": self.run_id,
            "original_attempt_run_id": self.run_id,
            "run_name": self.name,
            "run_page_url": self.page,
            "run_type": self.run_type,
            "creator_user_name": self.creator.user_name,
            "trigger": "ONE_TIME",
            "state": self.state(),
            "status": self.status(),
            "start_time": self.start_time,
            "end_time": self.end_time,
            "setup_duration": 0,
            "execution_duration": 0,
            "cleanup_duration": 0,
            "run_duration": (self.end_time or now()) - self.start_time,
            "format": "MULTI_TASK",
            "tasks": [task.described() for task in self.tasks.values()],
        }
        for name in ("git_source", "job_clusters"):
            if name in self.sent:
                described[name] = self.sent[name]
        if overrides := next((task.overrides for task in self.tasks.values() if task.overrides), None):
            described["overriding_parameters"] = {"notebook_params": overrides}
        if self.job_parameters:
            described["job_parameters"] = [
                {"name": name, "value": value} for name, value in self.job_parameters.items()
            ]
        return described

    def conclude(self, failed_runs_end_as: str) -> None:
        """End as the tasks have ended."""
        ends = list(self.tasks.values())
        if self.stopping is not None:
            if self.stopping == "CANCELED":
                return self.finish("TERMINATED", "CANCELED", "USER_CANCELED", "Run cancelled.")
            return self.finish("TERMINATED", self.stopping, "CANCELED", "Run over its time.")
        for task in ends:
            if task.life_cycle_state == "INTERNAL_ERROR":
                return self.finish("INTERNAL_ERROR", "FAILED", task.code or "INTERNAL_ERROR", _blame(task))
        for task in ends:
            if task.result_state == "CANCELED":
                return self.finish("TERMINATED", "CANCELED", "USER_CANCELED", _blame(task))
            if task.result_state in ("FAILED", "TIMEDOUT"):
                code = task.code if task.code != "CANCELED" else "RUN_EXECUTION_ERROR"
                return self.finish(failed_runs_end_as, "FAILED", code or "RUN_EXECUTION_ERROR", _blame(task))
        return self.finish("TERMINATED", "SUCCESS", "SUCCESS")


def _blame(task: TaskRun) -> str:
    return f"Task {task.key} failed with message: {task.message}. This caused all downstream tasks to get skipped."


def succeeded(task: TaskRun) -> bool:
    """Return whether the tasks that depend on this one may begin."""
    return task.result_state in _SUCCESSES
