"""What `bench.scoring` does in processes of its own, so that each has its own memory and none a warm cache.

`python -m bench.scoring_steps STEP [ROWS]` in an environment that names the home; the last line printed is JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
from deltalake import write_deltalake
from sklearn.ensemble import RandomForestClassifier

from bench.measure import BrokenError
from workshop.core.data import datasets, tables
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import FEATURES, PHYSICOCHEMICAL, TARGET, WINE_ID
from workshop.core.parameters import DevopsAction, Parameters
from workshop.core.promotion import evaluate
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import LoadedModel, log_candidate
from workshop.core.registry.slots import open_slots
from workshop.core.scoring.score import load_slot, predictions_table
from workshop.core.scoring.score import score as score_table
from workshop.core.settings import current_settings

PARAMETERS = Parameters(run_name="bench", devops_action=DevopsAction.DEPLOYMENT)
ROWS_A_CHUNK = 50_000
NOISE = 0.01
"""Of each measurement, as a share of it: near the wines that there are, and no two rows alike."""
_MIB = 2**20


def prepare() -> dict[str, float]:
    """Create the datasets, train a model on the development wines and promote it."""
    development, _ = datasets.create_datasets()
    wines = datasets.prepare(development.frame)
    client = mlflow_store.connect()
    mlflow_store.use_experiment(client, PARAMETERS.model_name, PARAMETERS.run_name)
    with mlflow.start_run() as run:
        classifier = RandomForestClassifier(n_estimators=10, random_state=PARAMETERS.seed)
        classifier.fit(wines[FEATURES], wines[TARGET])
    log_candidate(classifier, run.info.run_id, wines, development.label, PARAMETERS)
    contest = evaluate.open_contest(client, PARAMETERS)
    outcome = evaluate.act(contest, evaluate.judge(contest))
    if outcome.status != "promoted":
        raise BrokenError(f"The model to score with was not promoted: {outcome.sentence}")
    return {}


def make_table(rows: int) -> dict[str, float]:
    """Write a table of that many wines: production wines drawn again, with noise, as one stream of chunks.

    The files are as the Delta library writes them when nobody says anything, since a team's own table is made so.
    """
    wines = datasets.load_wines(tables.production_table()).frame
    schema = pa.Schema.from_pandas(wines, preserve_index=False)
    generator = np.random.default_rng(rows)

    def chunks() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, ROWS_A_CHUNK):
            size = min(ROWS_A_CHUNK, rows - start)
            drawn = wines.sample(size, replace=True, random_state=generator, ignore_index=True)
            drawn[[*PHYSICOCHEMICAL]] *= generator.normal(1, NOISE, (size, len(PHYSICOCHEMICAL)))
            drawn[WINE_ID] = np.arange(start, start + size)
            yield pa.RecordBatch.from_pandas(drawn, schema=schema, preserve_index=False)

    place = current_settings().data / _wines(rows).name
    write_deltalake(str(place), pa.RecordBatchReader.from_batches(schema, chunks()))
    return {}


def score(rows: int) -> dict[str, float]:
    """Score the table with the model in Production; only the call that scores is timed, memory is the process's."""
    model, wines = _production_model(), _wines(rows)
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    scored = score_table(model, wines, _predictions(rows))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    written = _predictions(rows).dataset().count_rows()
    if not scored.rows == written == rows:
        raise BrokenError(f"Of {rows} wines {scored.rows} were scored, and {written} predictions were written.")
    return {"seconds": seconds, "before": before / _MIB, "peak": peak / _MIB}


def predict(rows: int) -> dict[str, float]:
    """Predict with the same classifier, bare, on the same rows in memory, as it was trained and on every core."""
    return _predicted(rows)[0]


def predict_and_check(rows: int) -> dict[str, float]:
    """Predict as `predict` does, and require that the scoring has written the same probability for each wine."""
    seconds, bare = _predicted(rows)
    written = _predictions(rows).dataset().to_table(columns=[WINE_ID, "probability"]).to_pandas()
    joined = bare.merge(written, on=WINE_ID, how="outer", validate="one_to_one", suffixes=("_bare", "_written"))
    differing = int((joined["probability_bare"] != joined["probability_written"]).sum())
    if len(joined) != rows or differing:
        raise BrokenError(f"Of {rows} wines {differing} have another prediction in the table than the bare model's.")
    return seconds


def _predicted(rows: int) -> tuple[dict[str, float], pd.DataFrame]:
    classifier: Any = _production_model().pyfunc.unwrap_python_model().classifier
    frame = _wines(rows).dataset().to_table(columns=[WINE_ID, *FEATURES]).to_pandas()
    wines = frame[FEATURES].astype("float64")
    started = time.perf_counter()
    probability = classifier.predict_proba(wines)[:, 1]
    as_trained = time.perf_counter() - started
    classifier.set_params(n_jobs=-1)
    started = time.perf_counter()
    classifier.predict_proba(wines)
    every_core = time.perf_counter() - started
    seconds = {"as_trained": as_trained, "every_core": every_core}
    return seconds, pd.DataFrame({WINE_ID: frame[WINE_ID], "probability": probability})


def _production_model() -> LoadedModel:
    return load_slot(open_slots(mlflow_store.connect(), PARAMETERS.model_name), "production")


def _wines(rows: int) -> DeltaFolder:
    return _folder(tables.named_table(f"wines_{rows}"))


def _predictions(rows: int) -> DeltaFolder:
    return _folder(predictions_table(f"wines_{rows}"))


def _folder(table: Table) -> DeltaFolder:
    assert isinstance(table, DeltaFolder)
    return table


if __name__ == "__main__":
    steps = {each.__name__: each for each in (prepare, make_table, score, predict, predict_and_check)}
    print(json.dumps(steps[sys.argv[1]](*map(int, sys.argv[2:]))))
