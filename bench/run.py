"""`workshop run` against a plain papermill loop and against the same code in one process.

All three do the same work on the same state: before each measurement the home is put back to how it was after one
first deployment run (tables, store, a champion in Production), at the same path. The candidate is then trained with
the champion's own seed, so each of them prepares, trains, registers, compares and decides not better, which is
checked afterwards in the registry. Whole processes are timed, the interpreter's start and all imports included.

The kit's run does more than the loop: it also reports, summarises and watches. The loop has papermill's defaults.
"""

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from bench.measure import (
    ROOT,
    BrokenError,
    Command,
    Result,
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
NOT_SLOWER = Target("≤", 1.0)


def measure(rounds: int, tell: Tell) -> Result:
    """Measure all three, taking turns."""
    workshop = [str(Path(sys.executable).with_name("workshop")), "run", "--action", "deployment", "--run-name", "bench"]
    parameters = json.dumps({str(NOTEBOOKS / f"{name}.ipynb"): values for name, values in PARAMETERS.items()})
    seconds: dict[str, list[float]] = {RUN: [], LOOP: [], FLOOR: []}
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
                seconds[name].append(timed(command, variables, accepted=[exit_code]).seconds)
                _require_not_better(home, name)
                shutil.rmtree(home)
    figures = {name: (Spread(values).shown(unit="s"), Spread(values)) for name, values in seconds.items()}
    return Result(
        "run: one delivery (1_1, 1_2, 1_3) with a champion to beat",
        "seconds of the whole process",
        [
            compared(RUN, figures[RUN], LOOP, figures[LOOP], NOT_SLOWER),
            compared(RUN, figures[RUN], FLOOR, figures[FLOOR], None),
        ],
    )


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
