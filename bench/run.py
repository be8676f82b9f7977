"""`workshop run` against a plain papermill loop and against the same code in one process.

All three do the same work on the same state: before each measurement the home is put back to how it was after one
first deployment run (tables, store, a champion in Production), at the same path. The candidate is then trained with
the champion's own seed, so each of them prepares, trains, registers, compares and decides not better, which is
checked afterwards in the registry. Whole processes are timed, the interpreter's start and all imports included.

The kit's run does more than the loop: it also reports, summarises and watches. The loop has papermill's defaults.

Where the time of the kit's run goes is read from the times that papermill leaves in the executed notebooks. Calls to
MLflow are in the cells.
"""

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import (
    ROOT,
    BrokenError,
    Command,
    Result,
    Row,
    Spread,
    Target,
    Tell,
    compared,
    environment,
    timed,
    workplace,
)

NOTEBOOKS = ROOT / "src" / "workshop" / "notebooks"
PARAMETERS = {
    "part_1_1_data_prep": {"run_name": "bench"},
    "part_1_2_training": {"run_name": "bench"},
    "part_1_3_evaluating": {"run_name": "bench", "devops_action": "Deployment"},
}
RUN = "workshop run"
LOOP = "plain papermill loop"
FLOOR = "same code in one process (floor)"
NOT_BETTER = 3
HALF_OF_THE_LOOP = Target("≤", 0.5)
NEAR_THE_FLOOR = Target("≤", 1.3)
PHASES = (
    "imports, store, checks, first kernel",
    "cells",
    "ends and starts of kernels, papermill",
    "last kernel's end, report, summary",
)


def measure(rounds: int, tell: Tell) -> Result:
    """Measure all three, taking turns."""
    workshop = [str(Path(sys.executable).with_name("workshop")), "run", "--action", "deployment", "--run-name", "bench"]
    parameters = json.dumps({str(NOTEBOOKS / f"{name}.ipynb"): values for name, values in PARAMETERS.items()})
    seconds: dict[str, list[float]] = {RUN: [], LOOP: [], FLOOR: []}
    phases: list[tuple[float, ...]] = []
    with workplace() as folder:
        home, as_prepared, executed = folder / "home", folder / "as_prepared", folder / "executed"
        executed.mkdir()
        tell("run: the first deployment, not timed")
        timed(workshop, environment(home))
        home.rename(as_prepared)
        contenders: dict[str, tuple[Command, int, dict[str, str]]] = {
            RUN: (workshop, NOT_BETTER, environment(home)),
            LOOP: ([sys.executable, "-m", "bench.plain_loop", executed, parameters], 0, environment(home)),
            FLOOR: ([sys.executable, "-m", "bench.one_process", parameters], 0, environment(home, MPLBACKEND="Agg")),
        }
        for number in range(rounds):
            for name, (command, exit_code, variables) in contenders.items():
                tell(f"run: round {number + 1} of {rounds}, {name}")
                shutil.copytree(as_prepared, home)
                begun = time.time()
                seconds[name].append(timed(command, variables, accepted=[exit_code]).seconds)
                if name == RUN:
                    phases.append(_phases(home, begun, begun + seconds[name][-1]))
                _require_not_better(home, name)
                shutil.rmtree(home)
    figures = {name: (Spread(values).shown(unit="s"), Spread(values)) for name, values in seconds.items()}
    return Result(
        "run: one delivery (1_1, 1_2, 1_3) with a champion to beat",
        "seconds of the whole process",
        [
            compared(RUN, figures[RUN], LOOP, figures[LOOP], HALF_OF_THE_LOOP),
            compared(RUN, figures[RUN], FLOOR, figures[FLOOR], NEAR_THE_FLOOR),
            *(
                Row(f"of it: {name}", Spread(each).shown(unit="s"))
                for name, each in zip(PHASES, zip(*phases, strict=True), strict=True)
            ),
        ],
    )


def _phases(home: Path, begun: float, ended: float) -> tuple[float, ...]:
    """The seconds of each phase of the newest run, whose process began and ended at these times of the clock."""
    folder = max((home / "runs").iterdir(), key=lambda each: each.name)
    texts = [(folder / f"{name}.ipynb").read_text(encoding="utf-8") for name in PARAMETERS]
    notebooks = [json.loads(text) for text in texts]
    first, last = (_at(notebooks[number], key) for number, key in ((0, "start_time"), (-1, "end_time")))
    cells = sum(_durations(notebooks))
    return first - begun, cells, last - first - cells, ended - last


def _at(notebook: dict[str, Any], key: str) -> float:
    return datetime.fromisoformat(notebook["metadata"]["papermill"][key]).replace(tzinfo=UTC).timestamp()


def _durations(notebooks: list[dict[str, Any]]) -> Iterator[float]:
    for notebook in notebooks:
        for cell in notebook["cells"]:
            yield cell["metadata"].get("papermill", {}).get("duration") or 0.0


def _require_not_better(home: Path, name: str) -> None:
    """The second version was registered, judged and turned down, or the time taken says nothing.

    The store's own tables are read: importing MLflow for it would take as long as what is measured.
    """
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        found = dict(
            database.execute("SELECT version, value FROM model_version_tags WHERE key = 'workshop.status'").fetchall()
        )
    if found != {1: "promoted", 2: "not better"}:
        raise BrokenError(f"{name} should have turned version 2 down, but the versions are {found}.")
