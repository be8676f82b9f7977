"""Running `workshop run --target databricks` against the stand-in of a workspace."""

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
from workshop.databricks import target
from workshop.databricks.remote_run import RemoteRun

FIRST, SECOND, THIRD = "part_1_1_data_prep", "part_1_2_training", "part_1_3_evaluating"


def environment_of(workspace: Workspace, commit: str) -> dict[str, str]:
    """What a person has set who runs on that workspace, in seconds where a real one would wait for minutes."""
    return {
        "DATABRICKS_HOST": workspace.host,
        "DATABRICKS_TOKEN": workspace.token,
        "WORKSHOP_DATABRICKS_HOME": f"{workspace.home}/home",
        "WORKSHOP_DATABRICKS_POLL_SECONDS": "0.05",
        "WORKSHOP_DATABRICKS_RETRY_SECONDS": "3",
        "WORKSHOP_DATABRICKS_TIMEOUT_MINUTES": "3",
        "WORKSHOP_GIT_COMMIT": commit,
    }


def run(*arguments: str) -> Finished:
    """`workshop run --target databricks …`, in this process."""
    return workshop_here("run", "--target", "databricks", *arguments)


class KilledError(BaseException):
    """What a process that is killed never gets to handle."""


def die(*_: object, **__: object) -> None:
    """What becomes of a process that is killed there."""
    raise KilledError


def killed_while_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has started its run, and is no more."""
    with monkeypatch.context() as patch:
        patch.setattr(target, "bring_back", die)
        patch.setattr(RemoteRun, "end", die)
        with pytest.raises(KilledError):
            run()


def small_notebook(*cells: str) -> bytes:
    """A notebook of these cells, as bytes."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return str(nbformat.writes(notebook)).encode("utf-8")


def summaries(home: Path) -> list[dict[str, Any]]:
    """The `summary.json` of each run, oldest first."""
    folders = sorted((home / "runs").iterdir()) if (home / "runs").exists() else []
    return [json.loads((folder / "summary.json").read_text("utf-8")) for folder in folders]


def left_in(workspace: Workspace) -> list[str]:
    """The code of runs that lies in the workspace."""
    code = workspace.root / "Workspace" / "Shared" / "workshop" / "code"
    return sorted(path.name for path in code.iterdir()) if code.exists() else []


def submissions(workspace: Workspace) -> int:
    """How often a run was asked for."""
    return sum(request == "POST /api/2.2/jobs/runs/submit" for request in workspace.requests)


def without_times_and_places(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What of a summary must be the same wherever the notebooks ran."""
    differ = ("started", "seconds", "report", "run_id", "run_page", "target")
    kept = {name: value for name, value in summary.items() if name not in differ}
    kept["notebooks"] = [{name: each[name] for name in ("name", "status", "error")} for each in summary["notebooks"]]
    return kept


def nothing_is_left(workspace: Workspace) -> None:
    """No run goes on, no code lies there, and nothing was asked that the service does not have."""
    assert workspace.active_runs() == []
    assert left_in(workspace) == []
    assert workspace.unknown == []


def looks(workspace: Workspace) -> int:
    """How often the run was looked at."""
    return sum(request == "GET /api/2.2/jobs/runs/get" for request in workspace.requests)


@contextmanager
def when(condition: Callable[[], bool], action: Callable[..., object], *arguments: object) -> Iterator[None]:
    """Do something as soon as something is so, while the test goes on."""
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
