"""The queue of runs, and the listener: a process that ends once all runs are done.

The listener starts a worker, a process of its own, for each run. Three locks, which the kernel releases even after
kill -9, show which processes are alive: the listener holds `agent.lock`, the worker of run N holds `runs/N/.lock`, and
the worker that executes steps holds `busy.lock`. A worker that waits for an approval releases `busy.lock`.
"""

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel

from azure_devops_local import host
from azure_devops_local.agent import agent
from azure_devops_local.agent.steps import RUN
from azure_devops_local.run_store import Run, Runs, now, read_record
from kit_common import git
from kit_common.errors import UserError
from kit_common.files import write_whole

_MARK = "AZURE_DEVOPS_LOCAL_AGENT"
_PAUSE = 0.2
_SECONDS_TO_END = 30
_listeners: list["subprocess.Popen[bytes]"] = []
"""The listeners that this process has started, and must collect when they end."""


class Approval(BaseModel):
    """The answer to an approval."""

    by: str
    approved: bool


def add(run: Run) -> Run:
    """Queue a run; a batched one takes the place of a batched one of its pipeline and branch that is still queued."""
    runs = Runs()
    with lock("queue"):
        for waiting in unfinished() if run.reason == "batchedCI" else []:
            same = (waiting.pipeline, waiting.branch, waiting.reason) == (run.pipeline, run.branch, run.reason)
            if same and waiting.state == "queued":
                run = run.model_copy(update={"number": waiting.number, "created": waiting.created})
                runs.save(run)
                return run
        return runs.add(run)


def rerun(number: int, requested_for: str) -> Run:
    """Queue a run again: the same pipeline, commit and parameters."""
    old = Runs().load(number)
    kept = old.model_dump(include={"pipeline", "branch", "commit", "message", "parameters"})
    return add(Run(requested_for=requested_for, **kept))


def begin(number: int) -> Run | None:
    """Take a run out of the queue; None if another process has taken it."""
    with lock("queue"):
        run = Runs().load(number)
        if run.state != "queued":
            return None
        run.state, run.started = "running", now()
        Runs().save(run)
        return run


def answer_approval(number: int, name: str, approved: bool) -> Run:
    """Answer the approval that a run waits for.

    Raises:
        UserError: the run does not wait for an approval, or has an answer already.
    """
    with lock("queue"):
        run = Runs().load(number)
        if run.waiting_job is None:
            watch = f"; `{host.current().advice} watch --until-idle` ends when it does"
            later = "" if run.state == "completed" else watch
            raise UserError(f"The {run.title} does not wait for an approval: it is {run.result or run.state}{later}.")
        path = approval_file(run)
        if path.exists():
            raise UserError(f"{read_record(path, Approval).by} has answered already: the {run.title} goes on soon.")
        path.parent.mkdir(exist_ok=True)
        write_whole(path, Approval(by=name, approved=approved).model_dump_json(indent=1))
    ensure_working()
    return run


def approval_file(run: Run) -> Path:
    """Return the file for the answer to the job that waits; each job has its own, so an answer counts only once."""
    return _folder() / "approvals" / f"{run.number}-{run.waiting_job}.json"


def lock(name: str) -> FileLock:
    """Return one of the locks `agent`, `busy` and `queue`; any thread of this process may release it."""
    _folder().mkdir(parents=True, exist_ok=True)
    return FileLock(_folder() / f"{name}.lock", thread_local=False)


def sign_of_life(number: int) -> FileLock:
    """Return the lock that the worker of a run holds while it is alive."""
    return FileLock(Runs().folder_of(number) / ".lock", thread_local=False)


def unfinished(completed: set[int] | None = None) -> list[Run]:
    """Return the runs that are not completed, oldest first.

    Args:
        completed: numbers of runs that need not be read again; those found to be completed are added.
    """
    completed = set() if completed is None else completed
    runs = Runs()
    found = {number: runs.readable(number) for number in runs.numbers() if number not in completed}
    completed |= {number for number, run in found.items() if run is None or run.state == "completed"}
    return [run for number, run in found.items() if run and number not in completed]


def ensure_working() -> None:
    """Start a listener if runs are not completed and no listener is alive."""
    _listeners[:] = [listener for listener in _listeners if listener.poll() is None]
    if not unfinished():
        return
    with suppress(Timeout), lock("agent").acquire(timeout=0):
        _listeners.append(_spawn())


def listen() -> None:
    """Work through the queue until it is empty, unless another listener does."""
    while unfinished():
        try:
            with lock("agent").acquire(timeout=0):
                listener = _Listener()
                while listener.look_round():
                    threading.Event().wait(_PAUSE)
        except Timeout:
            return
        # A run that was queued just before the lock was released did not start a listener: look once more.


def stop() -> int:
    """End listener and workers, and return their number; running runs are canceled, queued ones stay queued.

    Raises:
        UserError: a process does not end.
    """
    terminated: set[int] = set()
    deadline = time.monotonic() + _SECONDS_TO_END
    while found := _processes():
        for process in found:
            if process.pid not in terminated:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
                terminated.add(process.pid)
        if time.monotonic() > deadline:
            raise UserError(f"The process {found[0].pid} does not end: end it with `kill -9 {found[0].pid}`.")
        threading.Event().wait(_PAUSE)
    return len(terminated)


class _Listener:
    """The process that starts the workers."""

    def __init__(self) -> None:
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._completed: set[int] = set()

    def look_round(self) -> bool:
        """Clean up after killed workers and start the next one; return whether runs are left."""
        for number in [number for number, worker in self._workers.items() if worker.poll() is not None]:
            del self._workers[number]
            _fail_lost_run(number, even_if_queued=True)
        waiting = unfinished(self._completed)
        for run in waiting:
            if run.number not in self._workers and run.state != "queued":
                _fail_lost_run(run.number)
        if following := self._next(waiting):
            self._workers[following] = _spawn("--run", str(following))
        return bool(waiting)

    def _next(self, waiting: list[Run]) -> int | None:
        """Return the oldest queued run that may start: runs of one pipeline keep their order."""
        for run in waiting:
            starting = run.state == "queued" and (run.number in self._workers or _is_alive(run.number))
            if run.state == "running" or starting:
                return None
        started = set()
        for run in waiting:
            if run.state == "queued" and run.pipeline not in started:
                return run.number
            started.add(run.pipeline)
        return None


def _fail_lost_run(number: int, even_if_queued: bool = False) -> None:
    """Complete a run whose worker is no longer alive."""
    if _is_alive(number):
        return
    agent.clean_up(number)
    with lock("queue"):
        run = Runs().load(number)
        if run.state == "completed" or (run.state == "queued" and not even_if_queued):
            return
        run.problem = (
            f"The agent was lost while it ran {run.pipeline}: push again or `{host.current().advice} rerun {number}`."
        )
        run.complete("failed")
        Runs().save(run)


def _is_alive(number: int) -> bool:
    try:
        with sign_of_life(number).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _spawn(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start a listener or a worker that outlives this process and does not hold its pipes open."""
    # A step may have pushed: a process with its run's variables would be killed at the end of that run.
    inherited = {name: value for name, value in git.environment().items() if not name.startswith(RUN)}
    environment = {**inherited, **host.current().environment, _MARK: str(_folder())}
    with (_folder() / "agent.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *host.current().command, "work", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_folder(),
            env=environment,
            start_new_session=True,
        )


def _processes() -> list[psutil.Process]:
    command, found = ["-m", *host.current().command, "work"], []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            same = process.cmdline()[1 : 1 + len(command)] == command
            if same and process.environ().get(_MARK) == str(_folder()):
                found.append(process)
    return found


def _folder() -> Path:
    return host.current().home
