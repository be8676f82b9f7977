"""MLflow's own pages, served in this process: `workshop ui`.

`mlflow ui` would start two more processes, print its address long before it answers, end with 0 when the port is taken,
and print tracebacks on Ctrl-C.
"""

import logging
import os
import warnings

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from starlette.types import ASGIApp

from workshop.core.errors import WorkshopError
from workshop.core.registry import mlflow_store
from workshop.core.registry.store_address import without_credentials
from workshop.core.settings import current_settings


def require_embedded() -> None:
    """Check that the store is the kit's own.

    Raises:
        WorkshopError: it is a server, which has pages of its own.
    """
    if not mlflow_store.is_embedded(current_settings()):
        address = without_credentials(mlflow_store.tracking_uri())
        raise WorkshopError(f"MLFLOW_TRACKING_URI names a server with pages of its own: open {address}.")


def build() -> ASGIApp:
    """Return MLflow's pages and REST API on the kit's store as an app, with the store open."""
    # Its job runners, for the evaluation of generative models, are processes of their own.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    warnings.simplefilter("ignore")  # in this process, which does nothing else
    logging.disable(logging.WARNING)
    from mlflow.server import constants, handlers  # noqa: PLC0415  # their imports emit warnings
    from mlflow.server.fastapi_app import app  # noqa: PLC0415

    settings = current_settings()
    store, artifacts = mlflow_store.embedded_uri(settings), (settings.home / "artifacts").as_uri()
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: artifacts,
    }
    handlers.initialize_backend_stores(store, store, artifacts)
    pages: ASGIApp = app
    return pages


def page_of(client: MlflowClient, model_name: str) -> str:
    """Return the address of a registered model in these pages, or of the list of models if it is not registered.

    Without it MLflow shows its page about generative models, whose menu does not contain the registered models.
    """
    try:
        client.get_registered_model(model_name)
    except MlflowException:
        return "/#/models"
    return f"/#/models/{model_name}"
