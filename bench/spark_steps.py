"""What `bench.spark` does in processes of its own: `python -m bench.spark_steps STEP ROWS`, the last line is JSON."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

from bench.measure import BrokenError
from bench.scoring_steps import PARAMETERS
from workshop.core.data import tables
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.schemas import WINE_ID
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import open_slots
from workshop.core.scoring import score

_SECONDS_BETWEEN_LOOKS = 0.2
_MIB = 2**20


def score_here(rows: int) -> dict[str, float]:
    """Score the table in this process."""
    return _scored("here", rows)


def score_with_spark(rows: int) -> dict[str, float]:
    """Score the table with a Spark session of this machine, on all its cores; twice, since the first time its workers
    start, import the libraries and load the model."""
    os.environ["WORKSHOP_SPARK_ROWS"] = "0"
    started = time.perf_counter()
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[*]")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    seconds = time.perf_counter() - started
    figures = _scored("spark", rows)
    again = _scored("spark_again", rows)["seconds"]
    session.stop()
    return {**figures, "start": seconds, "again": again}


def compare(rows: int) -> dict[str, float]:
    """Require that both have written the same probability for each wine, to the bit."""
    here, spark = (_probabilities(name) for name in ("here", "spark"))
    if not (len(here[0]) == len(spark[0]) == rows and np.array_equal(here[0], spark[0])):
        raise BrokenError(f"Of {rows} wines {len(here[0])} were scored here and {len(spark[0])} with Spark.")
    if differing := int((here[1].view("int64") != spark[1].view("int64")).sum()):
        raise BrokenError(f"Of {rows} wines {differing} have another probability from Spark than from here.")
    return {}


def _scored(name: str, rows: int) -> dict[str, float]:
    model = score.load_slot(open_slots(mlflow_store.connect(), PARAMETERS.model_name), "production")
    peak: list[float] = []
    with _looking(peak):
        started = time.perf_counter()
        scored = score.score(model, tables.named_table(f"wines_{rows}"), score.predictions_table(name))
        seconds = time.perf_counter() - started
    if scored.rows != rows:
        raise BrokenError(f"Of {rows} wines {scored.rows} were scored.")
    return {"seconds": seconds, "peak": max(peak) / _MIB}


def _probabilities(name: str) -> tuple[Any, Any]:
    """The ids and probabilities, by id."""
    predictions = score.predictions_table(name)
    assert isinstance(predictions, DeltaFolder)
    found = predictions.dataset().to_table(columns=[WINE_ID, "probability"]).sort_by(WINE_ID)
    return tuple(found.column(each).to_numpy() for each in (WINE_ID, "probability"))


@contextmanager
def _looking(sizes: list[float]) -> Iterator[None]:
    """Note again and again how much memory this process and its descendants have."""
    enough = Event()

    def look() -> None:
        while True:
            sizes.append(_memory())
            if enough.wait(_SECONDS_BETWEEN_LOOKS):
                return

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _memory() -> float:
    total = 0.0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.Error):  # it has ended meanwhile
            full = process.memory_full_info()
            total += getattr(full, "pss", full.rss)
    return total


if __name__ == "__main__":
    steps = {each.__name__: each for each in (score_here, score_with_spark, compare)}
    print(json.dumps(steps[sys.argv[1]](int(sys.argv[2]))))
