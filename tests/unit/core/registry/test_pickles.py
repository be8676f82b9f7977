"""Models that are stored by other means than `log_candidate`: pickles are refused, anything else may be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow import MlflowClient
from mlflow.pyfunc.model import PythonModel
from sklearn.ensemble import RandomForestClassifier

from tests.support.models import MODEL, refusal
from workshop.core.data.schemas import FEATURES
from workshop.core.registry import model


class Trap:
    """Leaves a file behind wherever it is unpickled."""

    def __init__(self, left_behind: Path) -> None:
        self.left_behind = left_behind

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.left_behind,)


class Pickled(PythonModel):
    """A model that is stored as a pickle of itself, with whatever it holds."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        return np.full(len(model_input), 0.5)


def register(client: MlflowClient, folder: Path) -> str:
    """Register what is stored in a folder; returns the version."""
    client.create_registered_model(MODEL)
    return str(client.create_model_version(MODEL, source=folder.as_uri()).version)


def as_python_model(folder: Path, held: Any) -> None:
    mlflow.pyfunc.save_model(folder, python_model=Pickled(held), pip_requirements=["mlflow"])


def as_scikit_learn(serialization: str) -> Callable[[Path, Any], None]:
    def save(folder: Path, held: Any) -> None:
        classifier = RandomForestClassifier(2, random_state=0).fit([[0.0], [1.0]], [0, 1])
        classifier.held = held
        mlflow.sklearn.save_model(
            classifier, folder, serialization_format=serialization, pip_requirements=["scikit-learn"]
        )

    return save


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "save",
    [as_python_model, as_scikit_learn("cloudpickle"), as_scikit_learn("pickle")],
    ids=["a Python model", "scikit-learn, cloudpickle", "scikit-learn, pickle"],
)
@pytest.mark.parametrize("way", ["by version", "as a consumer"])
def test_a_pickle_is_refused_without_its_code_being_run(
    empty_registry: MlflowClient, tmp_path: Path, save: Callable[[Path, Any], None], way: str
) -> None:
    left_behind = tmp_path / "left behind"
    save(tmp_path / "trapped", Trap(left_behind))
    left_behind.unlink(missing_ok=True)
    version = register(empty_registry, tmp_path / "trapped")
    with refusal("pickle", "runs its code", "log_candidate"):
        if way == "by version":
            model.load_version(empty_registry, MODEL, version)
        else:
            model.load_as_a_consumer(f"models:/{MODEL}/{version}", version)
    assert not left_behind.exists()
    # The trap is a real one: whoever loads it without asking walks into it.
    mlflow.pyfunc.load_model(str(tmp_path / "trapped"))
    assert left_behind.exists()


def test_what_log_candidate_stores_is_no_pickle_and_is_loaded(registry: MlflowClient, production: pd.DataFrame) -> None:
    flavors = mlflow.models.Model.load(f"models:/{MODEL}/3").flavors
    assert "model_code_path" in flavors["python_function"]
    assert "python_model" not in flavors["python_function"]
    assert model.load_version(registry, MODEL, "3").probabilities(production).shape == (len(production),)


@pytest.mark.filterwarnings("ignore")
def test_a_model_without_an_example_or_a_signature_is_named(empty_registry: MlflowClient, tmp_path: Path) -> None:
    code = Path(model.__file__).with_name("pyfunc_model.py")
    stored = tmp_path / "classifier.skops"
    skops.io.dump(RandomForestClassifier(2, random_state=0).fit(np.zeros((4, len(FEATURES))), [0, 1, 0, 1]), stored)
    mlflow.pyfunc.save_model(
        tmp_path / "bare",
        python_model=str(code),
        artifacts={"classifier": str(stored)},
        model_config={"trusted_types": model.TRUSTED_TYPES},
        pip_requirements=["mlflow"],
    )
    loaded = model.load_version(empty_registry, MODEL, register(empty_registry, tmp_path / "bare"))
    assert (loaded.example, loaded.signature, loaded.data_version) == (None, None, "")
    assert loaded.input_columns == FEATURES
