"""Models: log a fitted classifier, register it as this run's candidate, find it and load it."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError
from workshop.core.parameters import Parameters
from workshop.core.provenance import git_commit
from workshop.core.registry.backends import newest_first, open_client, require_fitting
from workshop.core.registry.loading import load
from workshop.core.registry.mlflow_store import explained
from workshop.core.settings import TRAINING, current_settings

TRUSTED_TYPES = ["sklearn.tree._tree.Tree", "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
"""The types beyond skops' own that a model may contain; a new kind of model may need its types added here."""

RUN_NAME_TAG = "workshop.run_name"
RUN_ID_TAG = "workshop.run_id"
DATA_TAG = "workshop.data_version"
COMMIT_TAG = "workshop.git_commit"

_REQUIRED = ["mlflow", "numpy", "pandas", "scikit-learn", "skops"]
_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class LoadedModel:
    """A model version in memory."""

    version: str
    data_version: str
    pyfunc: Any

    @property
    def signature(self) -> ModelSignature | None:
        """The columns and types of input and output; None if it was logged without a signature."""
        signature: ModelSignature | None = self.pyfunc.metadata.signature
        return signature

    @property
    def inputs(self) -> Schema | None:
        """The input columns and their types; None if it was logged without a signature."""
        return self.signature.inputs if self.signature is not None else None

    @property
    def example(self) -> pd.DataFrame | None:
        """The input example that was logged with it, or None."""
        example: pd.DataFrame | None = self.pyfunc.input_example
        return example

    @property
    def input_columns(self) -> list[str]:
        """The input columns."""
        from workshop.core.data.schemas import FEATURES  # noqa: PLC0415  # imports pandera, and most need only the tags

        return [str(name) for name in self.inputs.input_names()] if self.inputs is not None else FEATURES

    def probabilities(self, wines: pd.DataFrame) -> np.ndarray:
        """Predict the probability of high quality, float64, one per row of `wines`, which has the input columns.

        Raises:
            WorkshopError: the model does not answer.
        """
        if missing := [name for name in self.input_columns if name not in wines]:
            raise WorkshopError(
                f"The model, version {self.version}, needs the column {missing[0]}, which is missing: add it."
            )
        try:
            return np.asarray(self.pyfunc.predict(wines[self.input_columns]), dtype="float64")
        except Exception as error:  # a model can run any code
            raise WorkshopError(
                f"The model, version {self.version}, did not answer ({type(error).__name__}: {first_sentence(error)}): "
                "check its training code and its input columns."
            ) from error


def log_candidate(classifier: Any, run_id: str, train: pd.DataFrame, data_version: str, parameters: Parameters) -> str:
    """Log a fitted classifier to its MLflow run and register it as the candidate of this run.

    Args:
        classifier: fitted, with `predict_proba`.
        run_id: the MLflow run of its training.
        train: its training wines, from which signature and input example are taken.
        data_version: the table versions of its training data, as in `development@0`.
        parameters: of the notebook, with model name and run name.

    Returns:
        The registered version.

    Raises:
        WorkshopError: the model contains an untrusted type, or the registry refuses it.
    """
    from workshop.core.data.schemas import FEATURES  # noqa: PLC0415  # imports pandera, and most need only the tags

    example = train[FEATURES].head(_EXAMPLE_ROWS).reset_index(drop=True)
    signature = infer_signature(example, classifier.predict_proba(example)[:, 1])
    tags = {
        RUN_NAME_TAG: parameters.run_name,
        RUN_ID_TAG: current_settings().run_id,
        DATA_TAG: data_version,
        COMMIT_TAG: git_commit(),
    }
    client, model_name = open_client(), parameters.model_name
    require_fitting(model_name)
    with tempfile.TemporaryDirectory() as folder, explained(f"log and register {model_name}"):
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        with _resumed(run_id):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                artifacts={"classifier": str(_dump(classifier, Path(folder)))},
                model_config={"trusted_types": TRUSTED_TYPES},
                signature=signature,
                input_example=example,
                pip_requirements=_pinned_requirements(classifier),
                tags=tags,
            )
        _ensure_registered_model(client, model_name)
        registered = client.create_model_version(
            model_name, source=info.model_uri, run_id=run_id, tags=tags, model_id=info.model_id
        )
    return str(registered.version)


def find_candidate(client: MlflowClient, model_name: str, run_name: str) -> ModelVersion:
    """Return the version that this run registered; if this run does not train, the newest of that run name.

    Raises:
        WorkshopError: this run trains and has not registered a version, or no run of that name has.
    """
    settings = current_settings()
    run_id = settings.run_id
    newest = None
    with explained(f"look for candidates of {model_name}"):
        # Some registries return tags one version at a time, so stop at the first match, mostly the newest.
        for version in newest_first(client, model_name):
            if version.tags.get(RUN_NAME_TAG) == run_name:
                if version.tags.get(RUN_ID_TAG, "") == run_id:
                    return version
                newest = newest or version
    if settings.is_in_this_run(TRAINING):
        raise WorkshopError(
            f"{TRAINING} has not registered a candidate of {model_name} in this run, and an earlier one is not used "
            "instead: find out why that notebook ended without one."
        )
    if newest is None:
        raise WorkshopError(
            f"The run name {run_name} has no candidate of {model_name}: run the notebook part_1_2_training "
            "with it first."
        )
    return newest


def load_version(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
    """Load a model version by its number.

    Raises:
        WorkshopError: the version is missing, can't be loaded, or is stored as a pickle.
    """
    with explained(f"load {model_name} version {version}"):
        entry = client.get_model_version(model_name, version)
        data_version = entry.tags.get(DATA_TAG, "")
        return LoadedModel(version, data_version, load(client, f"models:/{model_name}/{version}"))


def load_as_a_consumer(uri: str, version: str) -> LoadedModel:
    """Load a model by the URI of a slot, as a consumer does.

    Args:
        uri: of the slot.
        version: the version that the slot should hold.

    Raises:
        WorkshopError: the model can't be loaded.
    """
    with explained(f"load {uri}"):
        return LoadedModel(version, "", load(open_client(), uri))


def _dump(classifier: Any, folder: Path) -> Path:
    import skops.io  # noqa: PLC0415  # takes a second to import, and only storing a model needs it

    path = folder / "classifier.skops"
    skops.io.dump(classifier, path)
    if foreign := sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES)):
        raise WorkshopError(
            f"The model contains the type {foreign[0]}, which is not trusted: if it is from a library that you know, "
            "add it to TRUSTED_TYPES in workshop/core/registry/model.py."
        )
    return path


def _pinned_requirements(classifier: Any) -> list[str]:
    packages = [*_REQUIRED, "xgboost-cpu"] if type(classifier).__module__.startswith("xgboost") else _REQUIRED
    return [f"{package}=={installed_version(package)}" for package in packages]


def _ensure_registered_model(client: MlflowClient, model_name: str) -> None:
    """Create the registered model if it is missing; look it up first, since creating needs an extra right."""
    try:
        client.get_registered_model(model_name)
    except MlflowException as missing:
        if missing.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(model_name)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise


def _resumed(run_id: str) -> Any:
    """Resume the run to log to, nested if a training cell has left one open."""
    active = mlflow.active_run()
    return mlflow.start_run(run_id=run_id) if active is None else mlflow.start_run(run_id=run_id, nested=True)


def require_probabilities(scores: np.ndarray, rows: int, model: str) -> None:
    """Check that a model's answers are probabilities, one per row.

    Raises:
        WorkshopError: they are not.
    """
    scores = np.asarray(scores)
    if scores.shape != (rows,):
        raise WorkshopError(f"The {model} gave answers of shape {scores.shape} for {rows} rows: return one per row.")
    if not np.all(np.isfinite(scores)):
        bad = int((~np.isfinite(scores)).sum())
        raise WorkshopError(
            f"The {model} answered {bad:,} of {rows:,} rows with NaN or infinity: train it again on data without gaps."
        )
    if rows and (scores.min() < 0 or scores.max() > 1):
        raise WorkshopError(
            f"The {model} answered with {scores.min():g} to {scores.max():g}: return values from 0 to 1."
        )
