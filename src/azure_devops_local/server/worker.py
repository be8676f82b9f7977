"""A worker: the process that executes one run of the queue."""

import signal
import threading
from contextlib import suppress
from types import FrameType

from filelock import FileLock, Timeout

from azure_devops_local.agent import agent
from azure_devops_local.run_store import Job, Run, Runs, read_record
from azure_devops_local.server import repos_api, repository, run_queue
from azure_devops_local.views import html_page

_PAUSE = 0.2
_SECONDS_TO_BEGIN = 10


def work(number: int) -> None:
    """Execute a queued run when no other run is executed; SIGTERM cancels it."""
    stopped = threading.Event()

    def stop(_signum: int, _frame: FrameType | None) -> None:
        stopped.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    turn = run_queue.lock("busy")
    # A listener acquires this lock for a moment, to check whether a worker holds it.
    with suppress(Timeout), run_queue.sign_of_life(number).acquire(timeout=_SECONDS_TO_BEGIN), turn:
        run = run_queue.begin(number)
        if run is not None:
            _execute(run, turn)
    if not stopped.is_set():
        run_queue.ensure_working()


def _execute(run: Run, turn: FileLock) -> None:
    def approve(waiting: Run, _job: Job) -> str | None:
        return _approval(waiting, turn)

    try:
        with repos_api.serving(run) as service:
            agent.execute(run, repository.repository(), approve, service=service)
    except KeyboardInterrupt:  # before or after the steps; during the steps the agent handles it
        if run.state != "completed":
            run.cancel()
            Runs().save(run)
    html_page.write(run, Runs().folder_of(run.number) / "page.html")


def _approval(run: Run, turn: FileLock) -> str | None:
    """Return the name of the person who approves, or None for a rejection; other runs go on until the answer."""
    if not repository.rules().approvals:
        return "no approval is asked for"
    path = run_queue.approval_file(run)
    turn.release()
    while not path.is_file():
        threading.Event().wait(_PAUSE)
    answer = read_record(path, run_queue.Approval)
    turn.acquire()
    return answer.by if answer.approved else None
