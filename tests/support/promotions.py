"""Promotions of the gallery's models, as the notebook 1_3 decides them."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import infer_signature

from tests.support.models import MODEL
from workshop.core.data import datasets, tables
from workshop.core.data.schemas import FEATURES
from workshop.core.parameters import Parameters
from workshop.core.promotion.evaluate import Contest, act, judge, open_contest
from workshop.core.promotion.event import Event
from workshop.core.promotion.history import History
from workshop.core.promotion.outcome import Outcome
from workshop.core.registry import mlflow_store, model
from workshop.core.registry.slots import Slots, open_slots

# The gallery's run names, with the versions that they have registered
FIRST, AGAIN, BETTER, RIVAL = ("first", "1"), ("again", "2"), ("better", "3"), ("rival", "4")

ODD_MODEL = Path(__file__).with_name("misbehaving_model.py")
USUAL = dict.fromkeys(FEATURES, "float64")
RENAMED = {"acidity" if name == "fixed_acidity" else name: kind for name, kind in USUAL.items()}


def contest(entrant: tuple[str, str] | str, action: str = "Deployment", **parameters: Any) -> Contest:
    """Open the contest that 1_3 opens for a run name."""
    run_name = entrant if isinstance(entrant, str) else entrant[0]
    return open_contest(MlflowClient(), Parameters(run_name=run_name, devops_action=action, **parameters))


def run(entrant: tuple[str, str] | str, action: str = "Deployment", **parameters: Any) -> Outcome:
    """Decide the contest of a run name as 1_3 does."""
    opened = contest(entrant, action, **parameters)
    return act(opened, judge(opened))


def slots_now() -> Slots:
    """Return the slots, newly opened."""
    return open_slots(MlflowClient(), MODEL)


def events() -> list[Event]:
    """Return the whole history."""
    return History(MlflowClient(), MODEL).events()


def pending() -> list[Event]:
    """Return the swaps that have not ended."""
    return History(MlflowClient(), MODEL).pending()


def register_odd(answers: str, columns: dict[str, str] | None = None, *, signed: bool = True) -> str:
    """Register a misbehaving model as dev-odd's candidate.

    Args:
        answers: the kind of answer; see `misbehaving_model`.
        columns: its input columns, with their types; the usual ones if left out.
        signed: whether it is logged with a signature.
    """
    client = MlflowClient()
    mlflow_store.use_experiment(client, MODEL, "dev-odd")
    columns = columns or USUAL
    example = pd.DataFrame(1.0, index=range(3), columns=list(columns)).astype(columns)
    signature = infer_signature(example, np.full(3, 0.5)) if signed else None
    with mlflow.start_run() as active:
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(ODD_MODEL),
            model_config={"answers": answers},
            signature=signature,
            pip_requirements=["mlflow"],
        )
    return _candidate(client, info.model_uri, active.info.run_id)


def register_fitted(classifier: Any, train: pd.DataFrame) -> str:
    """Register a fitted classifier as dev-odd's candidate, as 1_2 does."""
    mlflow_store.use_experiment(MlflowClient(), MODEL, "dev-odd")
    with mlflow.start_run() as active:
        pass
    _prepare()
    return model.log_candidate(classifier, active.info.run_id, train, "development@0", Parameters(run_name="dev-odd"))


def _candidate(client: MlflowClient, source: str, run_id: str) -> str:
    tags = {model.RUN_NAME_TAG: "dev-odd", model.RUN_ID_TAG: "", model.DATA_TAG: "development@0"}
    entry = client.create_model_version(MODEL, source=source, run_id=run_id, tags=tags)
    _prepare()
    return str(entry.version)


def _prepare() -> None:
    development = datasets.load_wines(tables.development_table())
    datasets.save_prepared(datasets.prepare(development.frame), "dev-odd", development)
