"""Scoring a table, read, predicted and written in batches, against the bare classifier on rows already in memory.

The peer is scikit-learn's own `predict_proba`, timed alone: no reading, no writing, no MLflow, one float64 frame with
all rows. That is the most that could be had, so the target is a share of it. It runs as the model was trained, on one
core, which is what calling it gives; the kit predicts batches side by side. So that the comparison hides nothing, the
same peer on every core (`n_jobs=-1`) stands beside it, without a target.

Memory is the peak of the whole process that scores, libraries and model included. The target compares two sizes of
table: in memory that does not grow with the rows they are the same. The harness stays small on purpose, because on
Linux a new process's peak begins with that of the process which started it.

Both answers are compared wine by wine for the smaller table, in every round; their number is checked for both.
"""

import json
import shutil
import sys
from pathlib import Path

from bench.measure import Result, Row, Spread, Target, Tell, compared, environment, timed, workplace

SIZES = (1_000_000, 4_000_000)
SMALL, LARGE = SIZES
NEAR_BARE = Target("≥", 0.8)
SAME_MEMORY = Target("≤", 1.1)


def measure(rounds: int, tell: Tell) -> Result:
    """Measure both sizes, scoring and bare prediction taking turns, each in a fresh process."""
    scored: dict[int, list[dict[str, float]]] = {rows: [] for rows in SIZES}
    bare: dict[int, list[dict[str, float]]] = {rows: [] for rows in SIZES}
    with workplace() as home:
        tell("scoring: training and promoting the model")
        _step(home, "prepare")
        for rows in SIZES:
            tell(f"scoring: making a table of {rows:,} wines")
            _step(home, "make_table", rows)
        for number in range(rounds):
            for rows in SIZES:
                tell(f"scoring: round {number + 1} of {rounds}, {rows:,} wines")
                scored[rows].append(_step(home, "score", rows))
                bare[rows].append(_step(home, "predict_and_check" if rows == SMALL else "predict", rows))
                shutil.rmtree(home / "data" / "predictions")
    return Result(
        "scoring: from table to predictions table",
        "rows a second, with the seconds of the median, and the peak memory of the process",
        [row for rows in SIZES for row in _rates(rows, scored[rows], bare[rows])] + [_memory(scored)],
    )


def _step(home: Path, name: str, *rows: int) -> dict[str, float]:
    done = timed([sys.executable, "-m", "bench.scoring_steps", name, *map(str, rows)], environment(home))
    figures: dict[str, float] = json.loads(done.output.splitlines()[-1])
    return figures


def _rates(rows: int, scored: list[dict[str, float]], bare: list[dict[str, float]]) -> list[Row]:
    what = f"score, {rows:,} rows"
    figures = _rate(rows, [each["seconds"] for each in scored])
    as_trained = _rate(rows, [each["as_trained"] for each in bare])
    every_core = _rate(rows, [each["every_core"] for each in bare])
    return [
        compared(what, figures, "bare predict_proba, as trained: one core", as_trained, NEAR_BARE),
        compared(what, figures, "bare predict_proba, every core", every_core, None),
    ]


def _rate(rows: int, seconds: list[float]) -> tuple[str, Spread]:
    rate = Spread([rows / each for each in seconds])
    return f"{Spread(seconds).median:.2f} s\n{rate.shown('{:,.0f}', 'rows/s')}", rate


def _memory(scored: dict[int, list[dict[str, float]]]) -> Row:
    peaks = {rows: Spread([each["peak"] for each in scored[rows]]) for rows in SIZES}
    before = {rows: Spread([each["before"] for each in scored[rows]]).median for rows in SIZES}
    shown = {
        rows: f"{peaks[rows].shown('{:,.0f}', 'MiB')}\n{before[rows]:,.0f} MiB right before scoring" for rows in SIZES
    }
    return compared(
        f"score, peak memory, {LARGE:,} rows",
        (shown[LARGE], peaks[LARGE]),
        f"score, {SMALL:,} rows",
        (shown[SMALL], peaks[SMALL]),
        SAME_MEMORY,
    )
