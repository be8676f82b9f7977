"""`workshop run --target databricks` against a workspace of `databricks_local`."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from databricks_local.workspace import Workspace
from tests.support.commands import Finished, workshop_here
from workshop.core.errors import WorkshopError
from workshop.databricks import target
from workshop.databricks.remote_run import RemoteRun

FIRST, SECOND, THIRD = "part_1_1_data_prep", "part_1_2_training", "part_1_3_evaluating"


def environment_of(workspace: Workspace, commit: str) -> dict[str, str]:
    """Return the variables for runs on this workspace, with seconds where a real one needs minutes."""
    return {
        "DATABRICKS_HOST": workspace.host,
        "DATABRICKS_TOKEN": workspace.token,
        "WORKSHOP_DATABRICKS_HOME": f"{workspace.home}/home",
        "WORKSHOP_DATABRICKS_POLL_SECONDS": "0.05",
        "WORKSHOP_DATABRICKS_RETRY_SECONDS": "3",
        "WORKSHOP_DATABRICKS_TIMEOUT_MINUTES": "15",
        "WORKSHOP_GIT_COMMIT": commit,
    }


def run(*arguments: str) -> Finished:
    """Run `workshop run --target databricks …` in this process."""
    return workshop_here("run", "--target", "databricks", *arguments)


class KilledError(BaseException):
    """The end of a process that is killed, which no handler sees."""


def die(*_: object, **__: object) -> None:
    """Simulate that the process is killed at this call."""
    raise KilledError


def killed_while_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a run, and simulate that its client is killed while it follows."""
    with monkeypatch.context() as patch:
        patch.setattr(target, "bring_back", die)
        patch.setattr(RemoteRun, "end", die)
        with pytest.raises(KilledError):
            run()


def small_notebook(*cells: str) -> bytes:
    """Return a notebook of these cells as bytes."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return str(nbformat.writes(notebook)).encode("utf-8")


def summaries(home: Path) -> list[dict[str, Any]]:
    """Return the `summary.json` of each run, oldest first."""
    folders = sorted((home / "runs").iterdir()) if (home / "runs").exists() else []
    return [json.loads((folder / "summary.json").read_text("utf-8")) for folder in folders]


def left_in(workspace: Workspace) -> list[str]:
    """Return the code folders of runs in the workspace."""
    code = workspace.root / "Workspace" / "Shared" / "workshop" / "code"
    return sorted(path.name for path in code.iterdir()) if code.exists() else []


def submissions(workspace: Workspace) -> int:
    """Return how many runs were submitted."""
    return sum(request == "POST /api/2.2/jobs/runs/submit" for request in workspace.requests)


def without_times_and_places(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a summary that is the same on every target and for a run that is followed again."""
    differ = ("started", "seconds", "report", "run_id", "run_page", "target", "parameters", "submitted_by")
    kept = {name: value for name, value in summary.items() if name not in differ}
    kept["notebooks"] = [{name: each[name] for name in ("name", "status", "error")} for each in summary["notebooks"]]
    return kept


def nothing_is_left(workspace: Workspace) -> None:
    """Require that no run is active, no code is left, and no unknown endpoint was requested."""
    assert workspace.active_runs() == []
    assert left_in(workspace) == []
    assert workspace.unknown == []


def looks(workspace: Workspace) -> int:
    """Return how often the run was polled."""
    return sum(request == "GET /api/2.2/jobs/runs/get" for request in workspace.requests)


@contextmanager
def when(condition: Callable[[], bool], action: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Call `action` as soon as the condition holds, while the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            if condition():
                action(*arguments)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def interrupt(*_: object, **__: object) -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def no_more(*_: object) -> None:
    """Raise an error of the kit."""
    raise WorkshopError("No more.")
