"""The facts of the kit's home: tables as folders, the runs' summaries, and predictions."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from workshop.core.settings import Settings
from workshop.course.facts import Home, KitRun, Unseen

_LOG = "_delta_log"


def read(settings: Settings) -> tuple[Home, dict[str, str]]:
    """Return the facts, and the sentences on damaged records.

    Raises:
        Unseen: the tables are in Unity Catalog.
        OSError: the folder can't be read.
    """
    if settings.tables:
        raise Unseen(
            f"The tables are in Unity Catalog, in {settings.tables}, which this command does not open: look at them in "
            "Catalog Explorer."
        )
    runs, unfinished, damaged = _runs(settings.runs)
    sentence = f"the summary of the run {', '.join(damaged)} in {settings.runs} is damaged: remove that folder"
    home = Home(
        path=str(settings.home),
        tables=frozenset(_tables(settings.data)),
        runs=tuple(runs),
        unfinished=frozenset(unfinished),
        scored_by=frozenset(filter(None, map(_model_version, (settings.data / "predictions").glob(f"*/{_LOG}")))),
    )
    return home, {"kit runs": sentence} if damaged else {}


def _tables(data: Path) -> Iterator[str]:
    """Yield the names of the tables in which something was written."""
    for pattern in ("*", "*/*"):
        for log in data.glob(f"{pattern}/{_LOG}"):
            if any(path.stem.isdigit() for path in log.glob("*.json")):
                yield log.parent.relative_to(data).as_posix()


def _runs(folder: Path) -> tuple[list[KitRun], list[str], list[str]]:
    """Return the runs with a summary, the run names of those without one, and the folders with a damaged one."""
    found, unfinished, damaged = [], [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        summary = path / "summary.json"
        if not path.is_dir():
            continue
        if not summary.is_file():
            unfinished.append(path.name.partition("-")[2])
            continue
        try:
            found.append(_run(json.loads(summary.read_bytes())))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(path.name)
    return found, unfinished, damaged


def _run(summary: dict[str, Any]) -> KitRun:
    given: dict[str, dict[str, Any]] = summary.get("parameters") or {}
    return KitRun(
        run_id=str(summary["run_id"]),
        run_name=str(summary["run_name"]),
        status=str(summary["status"]),
        exit_code=int(summary["exit_code"]),
        target=str(summary["target"]),
        run_page=str(summary.get("run_page") or ""),
        submitted_by=str(summary.get("submitted_by") or ""),
        parameters={name: value for values in given.values() for name, value in values.items()},
        notebooks={str(each["name"]): str(each["status"]) for each in summary["notebooks"]},
    )


def _model_version(log: Path) -> str:
    """Return the version that made the newest predictions of a table; empty if the table does not name it."""
    commits = sorted(path for path in log.glob("*.json") if path.stem.isdigit())
    found = ""
    for line in commits[-1].read_text(encoding="utf-8").splitlines() if commits else ():
        with suppress(ValueError, KeyError, TypeError):
            found = str(json.loads(json.loads(line)["add"]["stats"])["maxValues"]["model_version"])
    return found
