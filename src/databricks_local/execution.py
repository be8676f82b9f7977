"""The execution of a run's tasks, one after another, each in a process of its own.

The codes RUN_EXECUTION_ERROR and DRIVER_ERROR, and their meanings: the SDK, `TerminationCodeCode`. Assumed: a
job's own token ends with its run. Tasks that could run side by side run one after another here.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from databricks_local.clusters import ClusterList
from databricks_local.identity import Identity
from databricks_local.preparation import Command, Preparation, UnreadyError
from databricks_local.run_state import Run, TaskRun, now, succeeded

_TASK = Path(__file__).with_name("task.py")
_SECONDS_TO_DIE = 30
_WORKLOAD_FAILED = "Workload failed, see run output for details"


@dataclass
class Execution:
    """The threads and processes of all runs."""

    identity: Identity
    preparation: Preparation
    clusters: ClusterList
    outcomes: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    executed: dict[tuple[int, str], Path] = field(default_factory=dict)
    failed_runs_end_as: str = "TERMINATED"

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._runs: list[Run] = []

    def hold(self, task_key: str) -> None:
        """Keep this task PENDING, when its turn comes, until it is released."""
        with self._changed:
            self._held.add(task_key)

    def release(self, task_key: str) -> None:
        """Release a task that was held."""
        with self._changed:
            self._held.discard(task_key)
            self._changed.notify_all()

    def start(self, run: Run) -> None:
        """Execute this run in a thread of its own."""
        thread = threading.Thread(target=self._execute, args=(run,), name=f"run {run.run_id}", daemon=True)
        self._threads.append(thread)
        self._runs.append(run)
        if run.waits_for:
            run.life_cycle_state = "QUEUED"
        thread.start()

    def stop(self, run: Run, result: str) -> None:
        """End this run with that result, whatever it is doing, unless it has ended."""
        with self._changed:
            if run.ended or run.stopping is not None:
                return
            run.stopping = result
            run.life_cycle_state = "TERMINATING"
            if (process := self._processes.get(run.run_id)) is not None:
                _kill(process)
            self._changed.notify_all()

    def wait_for(self, run: Run, states: Collection[str], timeout: float) -> Run:
        """Wait until the run has one of these states, or has ended if no state is passed."""
        with self._changed:
            there = self._changed.wait_for(lambda: run.life_cycle_state in states if states else run.ended, timeout)
        assert there, f"run {run.run_id} is {run.life_cycle_state}, not {' or '.join(states) or 'at its end'}"
        return run

    def close(self) -> None:
        """Stop everything that still runs."""
        for run in self._runs:
            self.stop(run, "CANCELED")
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive(), f"{thread.name} has not ended"

    def _execute(self, run: Run) -> None:
        token = self.identity.issue_token(run.creator)
        timer = threading.Timer(run.timeout, self.stop, (run, "TIMEDOUT")) if run.timeout else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            self._wait(run, lambda: all(other.ended for other in run.waits_for))
            if run.stopping is None and run.waits_for:
                run.life_cycle_state = "PENDING"
            started: set[str] = set()
            for task in _in_order(run):
                self._execute_task(run, task, token, started)
        finally:
            if timer is not None:
                timer.cancel()
            self.identity.revoke(token)
            with self._changed:
                run.conclude(self.failed_runs_end_as)
                self._changed.notify_all()

    def _wait(self, run: Run, ready: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: run.stopping is not None or ready())

    def _execute_task(self, run: Run, task: TaskRun, token: str, started: set[str]) -> None:
        upstream = [run.tasks[each.task_key] for each in task.task.depends_on]
        if run.stopping is not None:
            return _stopped(run, task)
        if not all(map(succeeded, upstream)) and task.task.run_if in (None, "ALL_SUCCESS"):
            return _skip(task, upstream)
        task.start_time = now()
        self._wait(run, lambda: task.key not in self._held)
        if run.stopping is not None:
            return _stopped(run, task)
        if (outcome := self.outcomes.get(task.key)) is not None:
            task.result, task.error = self.results.get(task.key), self.errors.get(task.key)
            return _end_as(task, outcome)
        self.clusters.start_for(task.task, started)
        try:
            command = self.preparation.command(run, task, token)
        except UnreadyError as error:
            return task.finish("INTERNAL_ERROR", "FAILED", error.code, str(error))
        return self._run(run, task, command)

    def _run(self, run: Run, task: TaskRun, command: Command) -> None:
        with self._changed:
            if run.stopping is not None:
                return _stopped(run, task)
            with (command.folder / "process.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", str(_TASK), str(command.spec)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=command.environment,
                    cwd=command.folder,
                    start_new_session=True,
                )
            self._processes[run.run_id] = process
            task.begun = now()
            task.life_cycle_state = run.life_cycle_state = "RUNNING"
            self._changed.notify_all()
        task.executed = self.executed[run.run_id, task.key] = command.folder / "executed.ipynb"
        timed_out = False
        try:
            process.wait(task.task.timeout_seconds or None)
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill(process)
        with self._changed:
            del self._processes[run.run_id]
            if run.stopping is not None:
                return _stopped(run, task)
        return _end_as(task, "TIMEDOUT") if timed_out else self._read_result(task, command)

    def _read_result(self, task: TaskRun, command: Command) -> None:
        result = command.folder / "result.json"
        if not result.exists():
            output = (command.folder / "process.log").read_text(encoding="utf-8", errors="replace")
            task.error, task.error_trace = "The Python kernel has stopped unexpectedly.", output
            return task.finish("INTERNAL_ERROR", "FAILED", "DRIVER_ERROR", f"{task.error} {output[-500:]}".strip())
        content = json.loads(result.read_text(encoding="utf-8"))
        task.result, task.error, task.error_trace = content["result"], content["error"], content["error_trace"]
        if task.error is not None:
            return task.finish("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", _WORKLOAD_FAILED)
        return task.finish("TERMINATED", "SUCCESS", "SUCCESS")


def _in_order(run: Run) -> list[TaskRun]:
    """Return the tasks in an order in which each follows those that it depends on."""
    ordered: dict[str, TaskRun] = {}
    while len(ordered) < len(run.tasks):
        for key, task in run.tasks.items():
            if key not in ordered and all(each.task_key in ordered for each in task.task.depends_on):
                ordered[key] = task
    return list(ordered.values())


def _skip(task: TaskRun, upstream: list[TaskRun]) -> None:
    results = {each.result_state for each in upstream}
    if results & {"FAILED", "TIMEDOUT", "UPSTREAM_FAILED"}:
        return task.finish("SKIPPED", "UPSTREAM_FAILED", "SKIPPED", "An upstream task failed.")
    if results & {"CANCELED", "UPSTREAM_CANCELED"}:
        return task.finish("SKIPPED", "UPSTREAM_CANCELED", "SKIPPED", "An upstream task was canceled.")
    return task.finish("SKIPPED", "EXCLUDED", "SKIPPED", "The run condition of this task was not met.")


def _stopped(run: Run, task: TaskRun) -> None:
    if run.stopping == "CANCELED":
        return task.finish("TERMINATED", "CANCELED", "USER_CANCELED", "Run cancelled.")
    if task.begun or not task.task.depends_on:
        return task.finish("TERMINATED", "TIMEDOUT", "CANCELED", "Run over its time.")
    return task.finish("SKIPPED", "UPSTREAM_CANCELED", "SKIPPED", "An upstream task was canceled.")


def _end_as(task: TaskRun, outcome: str) -> None:
    """End the task with the outcome that a test has set, or at its time limit."""
    match outcome:
        case "SUCCESS":
            return task.finish("TERMINATED", "SUCCESS", "SUCCESS")
        case "FAILED":
            task.error = task.error or "RuntimeError: this task was set to fail"
            task.error_trace = f"Traceback (most recent call last):\n{task.error}"
            return task.finish("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", _WORKLOAD_FAILED)
        case "SKIPPED":
            return task.finish("SKIPPED", "EXCLUDED", "SKIPPED", "The run condition of this task was not met.")
        case "TIMEDOUT":
            return task.finish("TERMINATED", "TIMEDOUT", "CANCELED", "Task over its time.")
        case "CANCELED":
            return task.finish("TERMINATED", "CANCELED", "USER_CANCELED", "Task cancelled.")
        case "INTERNAL_ERROR":
            return task.finish("INTERNAL_ERROR", "FAILED", "INTERNAL_ERROR", "Unexpected failure in the Jobs service.")
    raise AssertionError(f"no task ends as {outcome}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its descendants, and wait for their end; the kernel is in a group of its own."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        parent.suspend()  # so that it starts nothing more
        victims = [*parent.children(recursive=True), parent]
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        give_up = time.monotonic() + _SECONDS_TO_DIE
        while any(map(_lives, victims)):
            assert time.monotonic() < give_up, f"{victims} do not end"
            # Grandchildren can't be waited for, and psutil.wait_procs waits for zombies that nothing collects.
            time.sleep(0.005)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
