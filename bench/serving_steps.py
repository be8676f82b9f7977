"""What `bench.serving` does with MLflow, in processes of its own, in an environment that names the home.

`python -m bench.serving_steps prepare FILE` registers two versions and writes a request and each version's answer.
`python -m bench.serving_steps promote` assigns Production to each version that it reads, one a line, and says so.
"""

import json
import sys
from pathlib import Path
from typing import Any, cast

import mlflow
from mlflow.pyfunc import scoring_server
from sklearn.ensemble import RandomForestClassifier

from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import load_version, log_candidate
from workshop.core.registry.slots import Slot, open_slots

PARAMETERS = Parameters(run_name="bench")
ROWS = 10
"""Wines in a request."""


def prepare(expected_file: str) -> None:
    """Register versions 1 and 2, let 1 hold Production, and write down what MLflow's own server answers with each."""
    wines = datasets.prepare(datasets.without_duplicates(read_originals()))
    client = mlflow_store.connect()
    mlflow_store.use_experiment(client, PARAMETERS.model_name, PARAMETERS.run_name)
    body = json.dumps({"dataframe_split": wines[FEATURES].head(ROWS).to_dict(orient="split")})
    answers, reference = {}, cast(Any, scoring_server.invocations)
    for seed in (1, 2):
        with mlflow.start_run() as run:
            classifier = RandomForestClassifier(10, random_state=seed).fit(wines[FEATURES], wines[TARGET])
        version = log_candidate(classifier, run.info.run_id, wines, "", PARAMETERS)
        pyfunc = load_version(client, PARAMETERS.model_name, version).pyfunc
        answers[version] = reference(body, "application/json", pyfunc, pyfunc.metadata.get_input_schema()).response
    open_slots(client, PARAMETERS.model_name).assign(Slot.PRODUCTION, "1")
    Path(expected_file).write_text(json.dumps({"body": body, "answers": answers}), encoding="utf-8")


def promote() -> None:
    """Assign Production to the versions that are asked for."""
    slots = open_slots(mlflow_store.connect(), PARAMETERS.model_name)
    print("ready", flush=True)
    for line in sys.stdin:
        slots.assign(Slot.PRODUCTION, line.strip())
        print(line.strip(), flush=True)


if __name__ == "__main__":
    steps: dict[str, Any] = {"prepare": prepare, "promote": promote}
    steps[sys.argv[1]](*sys.argv[2:])
