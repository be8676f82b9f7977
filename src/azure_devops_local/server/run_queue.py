"""The queue of runs, and the listener that works through it: started when there is something to do, gone when not.

Each run is executed by a worker, a process of its own. Three locks, which the kernel gives back even after kill -9,
say who is alive: `agent.lock` is the listener's, `runs/N/.lock` the one of run N's worker, and `busy.lock` is held by
the one worker whose turn it is to execute steps. A worker that waits for an approval lets the others have their turn.
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
from azure_devops_local.run_store import Job, Result, Run, Runs, Step, now, read_record
from kit_common import git
from kit_common.errors import UserError
from kit_common.files import write_whole

_MARK = "AZURE_DEVOPS_LOCAL_AGENT"
_PAUSE = 0.2
_SECONDS_TO_END = 30
_listeners: list["subprocess.Popen[bytes]"] = []
"""Those that this process has started, so that it takes note of their ends."""


class Approval(BaseModel):
    """A person's answer."""

    by: str
    approved: bool


def add(run: Run, batch: bool = False) -> Run:
    """Queue a run; with `batch`, one of that pipeline and branch that still waits takes the newer commit instead."""
    runs = Runs()
    with lock("queue"):
        for waiting in unfinished() if batch else []:
            if (waiting.pipeline, waiting.branch, waiting.state) == (run.pipeline, run.branch, "queued"):
                run = run.model_copy(update={"number": waiting.number, "created": waiting.created})
                run.reason = "batchedCI"
                runs.save(run)
                return run
        return runs.add(run)


def rerun(number: int, requested_for: str) -> Run:
    """Queue a run again: the same pipeline, commit and parameters.

    Raises:
        UserError: there is no such run.
    """
    old = Runs().load(number)
    again = Run(
        number=0,
        pipeline=old.pipeline,
        branch=old.branch,
        commit=old.commit,
        message=old.message,
        requested_for=requested_for,
        parameters=old.parameters,
        created=now(),
    )
    return add(again)


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
    """Answer the approval that a run waits for: once, for the job that asks.

    Raises:
        UserError: it waits for none, or it has been answered.
    """
    with lock("queue"):
        run = Runs().load(number)
        if run.waiting_job is None:
            watch = f"; `{host.current().advice} watch --until-idle` ends when it does"
            later = "" if run.state == "completed" else watch
            raise UserError(f"The {run.title} waits for no approval: it is {run.state}{later}.")
        path = approval_file(run)
        if path.exists():
            raise UserError(f"{read_record(path, Approval).by} has answered already: the {run.title} goes on soon.")
        path.parent.mkdir(exist_ok=True)
        write_whole(path, Approval(by=name, approved=approved).model_dump_json(indent=1))
    ensure_working()
    return run


def approval_file(run: Run) -> Path:
    """Where the answer for the job that waits is put; it stays there, so that no other job takes it for its own."""
    return _folder() / "approvals" / f"{run.number}-{run.waiting_job}.json"


def lock(name: str) -> FileLock:
    """One of the locks `agent`, `busy` and `queue`; any thread of this process may give it back."""
    _folder().mkdir(parents=True, exist_ok=True)
    return FileLock(_folder() / f"{name}.lock", thread_local=False)


def sign_of_life(number: int) -> FileLock:
    """Return the lock that a run's worker holds as long as it lives."""
    return FileLock(Runs().folder_of(number) / ".lock", thread_local=False)


def unfinished(over: set[int] | None = None) -> list[Run]:
    """Return the runs that are not completed, oldest first.

    Args:
        over: numbers of which it is known that they are; those found to be are added.
    """
    over = set() if over is None else over
    runs = Runs()
    found = []
    for number in runs.numbers():
        if number not in over:
            run = runs.readable(number)
            if run is None or run.state == "completed":
                over.add(number)
            else:
                found.append(run)
    return found


def ensure_working() -> None:
    """Start a listener where runs are not completed and there is none."""
    _listeners[:] = [listener for listener in _listeners if listener.poll() is None]
    if not unfinished():
        return
    with suppress(Timeout), lock("agent").acquire(timeout=0):
        _listeners.append(_spawn())


def listen() -> None:
    """Work through the queue until nothing is left, unless another listener does."""
    while unfinished():
        try:
            with lock("agent").acquire(timeout=0):
                listener = _Listener()
                while listener.look_round():
                    threading.Event().wait(_PAUSE)
        except Timeout:
            return
        # What was queued between the last look and the end of the lock found a listener: so look once more.


def stop() -> int:
    """End listener and workers; what was running is canceled, what was queued stays. Returns how many ended.

    Raises:
        UserError: a run does not end.
    """
    asked: set[int] = set()
    patience = time.monotonic() + _SECONDS_TO_END
    while found := _processes():
        for process in found:
            if process.pid not in asked:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
                asked.add(process.pid)
        if time.monotonic() > patience:
            raise UserError(f"The process {found[0].pid} does not end: end it with `kill -9 {found[0].pid}`.")
        threading.Event().wait(_PAUSE)
    return len(asked)


class _Listener:
    """Gives the workers their turns."""

    def __init__(self) -> None:
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._over: set[int] = set()

    def look_round(self) -> bool:
        """Clear up after workers that were lost, start the next; whether anything is left to wait for."""
        for number in [number for number, worker in self._workers.items() if worker.poll() is not None]:
            del self._workers[number]
            _give_up_on(number, even_if_queued=True)
        waiting = unfinished(self._over)
        for run in waiting:
            if run.number not in self._workers and run.state != "queued":
                _give_up_on(run.number)
        following = self._next(waiting)
        if following is not None:
            self._workers[following] = _spawn("--run", str(following))
        return bool(waiting)

    def _next(self, waiting: list[Run]) -> int | None:
        """Return the oldest queued run if it may start; a pipeline's runs never overtake each other."""
        ahead = set()
        for run in waiting:
            alive = run.number in self._workers or _is_alive(run.number)
            if run.state == "running" or (run.state == "queued" and alive):
                return None
        for run in waiting:
            if run.state == "queued" and run.pipeline not in ahead:
                return run.number
            ahead.add(run.pipeline)
        return None


def _give_up_on(number: int, even_if_queued: bool = False) -> None:
    """Complete a run whose worker is gone."""
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
        finish(run, "failed")


def finish(run: Run, result: Result) -> None:
    """Complete a run that did not come to its end: what had begun gets that result, the rest was skipped."""
    run.state, run.result, run.finished = "completed", result, now()
    for stage in run.stages:
        for job in stage.jobs:
            parts: list[Step | Job] = [*job.steps, job]
            for part in parts:
                if part.result is None:
                    part.result = result if part.started else "skipped"
                    part.finished = run.finished if part.started else None
        if stage.result is None:
            stage.result = result if any(job.started for job in stage.jobs) else "skipped"
    Runs().save(run)


def _is_alive(number: int) -> bool:
    try:
        with sign_of_life(number).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _spawn(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start a listener or a worker that goes on when this process ends, and holds none of its pipes."""
    # A step may have pushed: what carries its run's number would be cleared up together with it.
    inherited = {name: value for name, value in git.environment().items() if not name.startswith(RUN)}
    environment = {**inherited, **host.current().environment, _MARK: str(_folder())}
    with (_folder() / "agent.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *_command(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_folder(),
            env=environment,
            start_new_session=True,
        )


def _command() -> list[str]:
    return ["-m", *host.current().command, "work"]


def _processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if command[1 : 1 + len(_command())] == _command() and process.environ().get(_MARK) == str(_folder()):
                found.append(process)
    return found


def _folder() -> Path:
    return host.current().home
