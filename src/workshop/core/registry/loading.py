"""Loading of a stored model, which is checked first: loading a pickle would run any code that it contains."""

import re
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kit_common.sanitize import first_sentence
from workshop.core.registry.backends import is_of_databricks

_LOADERS_WITHOUT_PICKLE = (
    "mlflow.pyfunc.loaders.code_model",
    "mlflow.pyfunc.model",
    "mlflow.sklearn",
    "mlflow.xgboost",
    "mlflow.lightgbm",
    "mlflow.catboost",
    "mlflow.onnx",
)
"""Loaders of formats other than pickle; the model's record is checked for pickles as well."""

_ALIAS_URI = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_VERSION_URI = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>\d+)")


def load(client: MlflowClient, uri: str) -> Any:
    """Load a pyfunc model; raise MLflow's error for every fault of its artifacts."""
    try:
        place = _downloaded(client, uri)
        _refuse_pickles(place)
        return mlflow.pyfunc.load_model(place)
    except MlflowException:
        raise
    except Exception as error:  # damaged artifacts can raise anything
        reason = f"{type(error).__name__}: {first_sentence(error)}"
        raise MlflowException(f"its artifacts are missing, damaged or not trusted ({reason})") from error


def _downloaded(client: MlflowClient, uri: str) -> str:
    """Return the folder of a model, which is checked and then loaded; on Databricks, which records loads, its URI.

    The calls are those with which MLflow resolves the URI of a version or an alias. But MLflow's own client reads every
    version of the model on the way.
    """
    if is_of_databricks(mlflow.get_registry_uri()):
        return uri
    if found := _ALIAS_URI.fullmatch(uri):
        version = str(client.get_model_version_by_alias(found["name"], found["alias"]).version)
        uri = client.get_model_version_download_uri(found["name"], version)
    elif found := _VERSION_URI.fullmatch(uri):
        uri = client.get_model_version_download_uri(found["name"], found["version"])
    place: str = mlflow.artifacts.download_artifacts(uri)
    return place


def _refuse_pickles(place: str) -> None:
    """Refuse a pickled model: loading a pickle runs any code that it contains."""
    flavors = mlflow.models.Model.load(place).flavors
    loader = flavors.get("python_function", {}).get("loader_module")
    pickled = "python_model" in flavors.get("python_function", {}) or any(
        "pickle" in str(flavor.get("serialization_format", "")) for flavor in flavors.values()
    )
    if loader not in _LOADERS_WITHOUT_PICKLE:
        raise MlflowException(
            f"its loader, {loader}, may use pickle, and loading a pickle runs its code: log it with "
            "workshop.core.registry.model.log_candidate, which uses skops"
        )
    if pickled:
        raise MlflowException(
            "it is stored as a pickle, and loading a pickle runs its code: log it with "
            "workshop.core.registry.model.log_candidate, which uses skops"
        )
