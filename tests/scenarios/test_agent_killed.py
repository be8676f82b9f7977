"""kill -9 of the agent at each step of CD: the queue continues, and Production is never empty.

Only `make thorough` runs this. unit/azure_devops_local/server/test_run_queue.py tests the same with short pipelines.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from azure_devops_local.run_store import Run, Runs, now
from azure_devops_local.server import run_queue
from tests.support.clones import NOTEBOOKS, copy_training_cell, git, output_of, stand_in_a_clone
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, open_slots

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

MODEL = "wine_quality"
PATIENCE = 120
"""Time-out in seconds for something that takes ten."""
STEPS = [
    "Checkout",
    "Python 3.11",
    "Packages from an earlier run",
    "Set up the environment",
    "part_1_1_data_prep:",
    "part_1_2_training:",
    "part_1_3_evaluating:",
    "Publish how the notebooks ended",
    "Keep the report and the executed notebooks",
]
"""The steps of CD; for the step that runs the notebooks, lines of its log."""


@pytest.fixture
def team(tmp_path: Path, home: Path, delivered: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A team with version 1 in Production, the better training code on main, and an additional short pipeline."""
    shutil.copytree(delivered, home)
    clone = stand_in_a_clone(tmp_path / "clone", monkeypatch)
    copy_training_cell(clone / NOTEBOOKS)
    (clone / ".azure_pipelines" / "after.yml").write_text("trigger: none\nsteps:\n- bash: echo on it goes\n")
    git("add", "--all")
    git("commit", "--message", "Train the better model")
    output_of("devops", "start", "--no-approvals")
    yield
    output_of("devops", "stop")


def queued(pipeline: str) -> int:
    run = Run(number=0, pipeline=pipeline, branch="main", commit=git("rev-parse", "HEAD").strip(), created=now())
    return run_queue.add(run).number


def wait_until(met: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.05)):
        if met():
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"the condition is not met after {PATIENCE} seconds")


def has_reached(number: int, point: str) -> bool:
    """Return whether a step has started whose name, or a line of its log, begins with `point`."""
    run = Runs().load(number)
    assert run.state != "completed", f"it ended before {point}: {run.problem}"
    steps = [step for stage in run.stages for job in stage.jobs for step in job.steps if step.started]
    logs = [Runs().folder_of(number) / step.log for step in steps if step.log]
    return any(step.name.startswith(point) for step in steps) or any(
        line.startswith(point)
        for log in logs
        if log.is_file()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
    )


def worker_of(number: int) -> psutil.Process:
    """Return the process that executes a run."""
    (worker,) = [each for each in run_queue._processes() if each.cmdline()[-2:] == ["--run", str(number)]]
    return worker


class Consumer:
    """A consumer that looks Production up in a loop."""

    def __init__(self) -> None:
        self.seen: set[str | None] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Consumer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(PATIENCE)

    def _look(self) -> None:
        slots = open_slots(mlflow_store.connect(), MODEL)
        while not self._stopped.wait(0.1):
            self.seen.add(slots.holder(Slot.PRODUCTION))


@pytest.mark.parametrize("point", STEPS)
def test_the_queue_continues_after_the_agent_was_killed(point: str, team: None, home: Path) -> None:
    cd, after = queued("cd.yml"), queued("after.yml")
    with Consumer() as consumer:
        run_queue.ensure_working()
        wait_until(lambda: has_reached(cd, point))
        worker_of(cd).kill()
        wait_until(lambda: Runs().load(after).state == "completed")
        killed = Runs().load(cd)
        assert (killed.state, killed.result) == ("completed", "failed")
        assert killed.problem.startswith("The agent was lost while it ran cd.yml: push again or `workshop devops rerun")
        assert Runs().load(after).result == "succeeded"
        again = run_queue.rerun(cd, "Ana").number
        run_queue.ensure_working()
        wait_until(lambda: Runs().load(again).state == "completed")
        assert Runs().load(again).result in ("succeeded", "succeeded with issues")
    assert None not in consumer.seen
    assert open_slots(mlflow_store.connect(), MODEL).holder(Slot.PRODUCTION) not in (None, "1")
