"""Scoring a table with a local Spark against scoring it in one process, as the kit does where no session is active.

Both go through `workshop.core.scoring.score.score` and write a Delta table. The answers are compared bit for bit, wine
by wine, in every round. On one machine Spark has nothing to win but cores: this shows what it costs there, since more
machines than one can't be had on a laptop. So there is no target.

Time is that of the call which scores. Spark's session was started before it, which takes seconds of its own; its
workers start with the first call, import the libraries and load the model, and are still there for the second. Memory
is the greatest sum over the process and all that it has started, with shared pages counted once where the system tells
(Linux). It is looked at a few times a second, so a short peak can be missed.
"""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from bench.measure import BrokenError, Result, Row, Spread, Tell, compared, environment, timed, workplace

ROWS = 1_000_000
_PEER = "in one process, without Spark"
_SAME_AS = {"again": "seconds"}
"""Which figure of the peer's one of ours is compared with, where it has another name."""


def is_installed() -> bool:
    """Whether there is a Spark and a Java to measure."""
    return find_spec("pyspark") is not None and shutil.which("java") is not None


def measure(rounds: int, tell: Tell) -> Result:
    """Measure both, taking turns, each in a fresh process."""
    if not is_installed():
        raise BrokenError("There is no Spark or no Java here: install Java 17, then run `make spark`.")
    here: list[dict[str, float]] = []
    spark: list[dict[str, float]] = []
    with workplace() as home:
        tell("spark: training and promoting the model")
        _step(home, "bench.scoring_steps", "prepare")
        tell(f"spark: making a table of {ROWS:,} wines")
        _step(home, "bench.scoring_steps", "make_table")
        for number in range(rounds):
            tell(f"spark: round {number + 1} of {rounds}")
            here.append(_step(home, "bench.spark_steps", "score_here"))
            spark.append(_step(home, "bench.spark_steps", "score_with_spark"))
            _step(home, "bench.spark_steps", "compare")
            shutil.rmtree(home / "data" / "predictions")
    return Result(
        "spark: scoring with local Spark",
        "equal answers to the bit; seconds of the call that scores, and peak memory of all its processes",
        [
            _row(f"score, {ROWS:,} rows, Spark on this machine", ("seconds", "{:.2f}", "s"), spark, here),
            _row("the same again: workers started, model loaded", ("again", "{:.2f}", "s"), spark, here),
            _row("peak memory, first time", ("peak", "{:,.0f}", "MiB"), spark, here),
            Row("start of a Spark session before that", Spread([each["start"] for each in spark]).shown(unit="s")),
        ],
    )


def _row(what: str, figure: tuple[str, str, str], spark: list[dict[str, float]], here: list[dict[str, float]]) -> Row:
    """A row for a figure, which is given with how it is shown and in what unit."""
    name, form, unit = figure
    ours = Spread([each[name] for each in spark])
    peers = Spread([each[_SAME_AS.get(name, name)] for each in here])
    return compared(what, (ours.shown(form, unit), ours), _PEER, (peers.shown(form, unit), peers), None)


def _step(home: Path, module: str, name: str) -> dict[str, float]:
    variables = environment(home, PYSPARK_PYTHON=sys.executable)
    done = timed([sys.executable, "-m", module, name, *([] if name == "prepare" else [str(ROWS)])], variables)
    figures: dict[str, float] = json.loads(done.output.splitlines()[-1])
    return figures
