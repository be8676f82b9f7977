"""The MLflow store: the embedded one of a laptop, or the server that the environment names."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import PurePosixPath

import mlflow
import requests
import urllib3
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_TRACKING_INSECURE_TLS
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.exc import SQLAlchemyError

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.registry import store_address, store_faults, store_schema
from workshop.core.registry.backends import is_databricks, open_client, registry_beside
from workshop.core.registry.databricks_errors import (
    REFUSED_BY_DATABRICKS,
    known_refusal,
    require_folder,
    require_workspace,
)
from workshop.core.settings import Settings, current_settings

# Detect a server that is down in seconds: MLflow's own defaults need two minutes and seven attempts. Values that are
# set already stay.
_HTTP_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "60",
}
_SECONDS_TO_ANSWER = 10
_REFUSED: dict[int | None, str] = {
    HTTPStatus.UNAUTHORIZED: "its server does not accept your credentials: set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD",
    HTTPStatus.FORBIDDEN: "its server does not let you: ask its administrator for the right",
}
_QUIET_LOGGERS = ("mlflow", "alembic")

# MLflow writes its URI into the environment; these sets distinguish the kit's own values from the user's.
_written_by_us: set[str] = set()
_registry_written_last = {"uri": ""}


def tracking_uri(settings: Settings | None = None) -> str:
    """Return the tracking URI: `MLFLOW_TRACKING_URI`, or else the embedded SQLite file in the kit's home.

    In a notebook on Databricks the default is the workspace, since files are not kept there.
    """
    named = store_address.named("MLFLOW_TRACKING_URI")
    if named and named not in _written_by_us:
        return store_address.absolute_uri("MLFLOW_TRACKING_URI", named)
    return "databricks" if "DATABRICKS_RUNTIME_VERSION" in os.environ else embedded_uri(settings or current_settings())


def _artifacts(settings: Settings) -> str | None:
    """Return the location of a new experiment's artifacts; None lets the server choose.

    Without it MLflow writes them below the current folder of the process that logs first.
    """
    uri = tracking_uri(settings)
    if is_embedded(settings):
        return (settings.home / "artifacts").as_uri()
    return store_address.sqlite_file(uri).with_name("mlruns").as_uri() if store_address.is_sqlite(uri) else None


def experiment_name(name: str) -> str:
    """Return the full name of an experiment: on Databricks a path in the workspace, below `WORKSHOP_EXPERIMENTS`."""
    if not is_databricks(tracking_uri()):
        return name
    # MLflow on Databricks creates an experiment at /Workspace/… and then can't find it there (mlflow#11077).
    folder = PurePosixPath("/", current_settings().experiments.strip("/").removeprefix("Workspace/"))
    return str(folder / name)


def embedded_uri(settings: Settings) -> str:
    """Return the URI of the embedded store, with which a writer waits for another for up to a minute."""
    return f"sqlite:///{(settings.home / 'mlflow.db').as_posix()}?timeout=60"


def is_embedded(settings: Settings) -> bool:
    """Return whether runs are recorded in the kit's own home."""
    return tracking_uri(settings) == embedded_uri(settings)


def require_shared_history() -> None:
    """Check that the history and the lease of the slots are as widely shared as the models.

    Raises:
        WorkshopError: other machines may share the registry but not the tracking store.
    """
    uri = tracking_uri()
    registry = _registry_uri(uri)
    may_be_shared = is_embedded(current_settings()) or not store_address.is_sqlite(registry)
    if store_address.is_sqlite(uri) and uri.split("?")[0] != registry.split("?")[0] and may_be_shared:
        raise WorkshopError(
            "MLFLOW_REGISTRY_URI names a registry that other machines may share, but the history and the lease of "
            "its models are only on this machine: set MLFLOW_TRACKING_URI to a shared server too."
        )


def connect() -> MlflowClient:
    """Point MLflow at the store and check that it answers; create the embedded one on first use.

    Raises:
        WorkshopError: the store can't be reached, read or created.
    """
    settings = current_settings()
    for variable, value in _HTTP_DEFAULTS.items():
        os.environ.setdefault(variable, value)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = tracking_uri(settings)
    if is_embedded(settings):
        _written_by_us.add(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(_registry_uri(uri))
    if uri != store_address.without_credentials(uri):
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # MLflow would print the credentials
    if MLFLOW_TRACKING_INSECURE_TLS.get():  # type: ignore[no-untyped-call]  # urllib3 would warn at each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if uri.startswith(("http://", "https://")):
        _require_answer(uri)
    if is_databricks(uri):
        require_workspace(_SECONDS_TO_ANSWER)
    if is_embedded(settings):
        advice = f"restore {settings.home / 'mlflow.db'} from a copy, or set WORKSHOP_HOME to a new folder"
    elif is_databricks(uri):
        advice = "run it again in some minutes, and check the workspace with `workshop doctor`"
    else:
        advice = "correct MLFLOW_TRACKING_URI, or unset it to use the kit's own store"
    registry = mlflow.get_registry_uri()
    models_elsewhere = registry != uri and not registry.startswith(("http", "databricks"))
    # Two processes that start at once would both create the tables.
    with FileLock(settings.lock_file("mlflow-store")):
        with explained("open its store", advice), store_faults.database_explained("MLFLOW_TRACKING_URI", uri):
            store_faults.require_database("MLFLOW_TRACKING_URI", uri)
            store_schema.prepare(uri)
            client = MlflowClient(registry_uri=uri) if models_elsewhere else open_client()
            client.search_experiments(max_results=1)
        return _open_client_of_two_databases(registry) if models_elsewhere else client


def _open_client_of_two_databases(registry: str) -> MlflowClient:
    """Return the client for a `MLFLOW_REGISTRY_URI` that names another database than that of the runs."""
    advice = "correct MLFLOW_REGISTRY_URI, or unset it to record models with the runs"
    with explained("open its registry", advice), store_faults.database_explained("MLFLOW_REGISTRY_URI", registry):
        store_faults.require_database("MLFLOW_REGISTRY_URI", registry)
        store_schema.prepare(registry)
        client = open_client()
        client.search_registered_models(max_results=1)
    return client


def use_experiment(client: MlflowClient, model_name: str, run_name: str) -> str:
    """Make the run name's experiment the current one, create it if needed, and return its id."""
    name = experiment_name(f"{model_name}/{run_name}")
    ensure_experiment(client, name)
    os.environ.pop("MLFLOW_RUN_ID", None)  # left in a shell, it would redirect the next run
    with explained(f"use the experiment {name}"):
        return str(mlflow.set_experiment(name).experiment_id)


def ensure_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment of that name; create it if needed."""
    settings = current_settings()
    with explained(f"use the experiment {name}"):
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=_artifacts(settings)))
            except MlflowException as error:
                if _on_databricks():
                    require_folder(name, error)
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = client.get_experiment_by_name(name)
        if found is None:
            raise WorkshopError(f"Another process creates and deletes the experiment {name} right now: run it again.")
        return str(found.experiment_id)


@contextmanager
def explained(doing: str, advice: str = "") -> Iterator[None]:
    """Turn the errors of MLflow, its database and the network into one sentence.

    Args:
        doing: the action, as in `load wine_quality version 3`.
        advice: what to do if the error itself does not tell.

    Raises:
        WorkshopError: instead of an error of MLflow, SQLAlchemy or requests, or an OSError.
    """
    what_to_do = f"; {advice}" if advice else ""
    try:
        yield
    except MlflowException as error:
        raise WorkshopError(_in_one_sentence(error, doing, what_to_do)) from error
    except SQLAlchemyError as error:
        reason = first_sentence(error).split(" [SQL:")[0]
        raise WorkshopError(f"MLflow could not {doing}, its database failed: {reason}{what_to_do}.") from error
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else None
        reason = store_address.without_credentials(first_sentence(error))
        raise WorkshopError(
            f"MLflow could not {doing}: {_refused()[status]}."
            if status in _REFUSED
            else f"MLflow could not {doing}, its server does not answer: {reason}{what_to_do}."
        ) from error
    except OSError as error:
        if _on_databricks() and (known := known_refusal(error)):
            raise WorkshopError(f"MLflow could not {doing}{known}.") from error
        raise explain_os_error(error) from error


def _registry_uri(tracking_uri: str) -> str:
    """Return the registry URI: `MLFLOW_REGISTRY_URI`, or the default for the tracking URI."""
    named = store_address.named("MLFLOW_REGISTRY_URI")
    if named and named != _registry_written_last["uri"]:
        return store_address.absolute_uri("MLFLOW_REGISTRY_URI", named)
    _registry_written_last["uri"] = registry_beside(tracking_uri)
    return _registry_written_last["uri"]


def _in_one_sentence(error: MlflowException, doing: str, what_to_do: str) -> str:
    reason = store_address.without_credentials(first_sentence(error).split(" [SQL:")[0])
    if _on_databricks() and (known := known_refusal(error)):
        return f"MLflow could not {doing}{known}."
    if found := re.search(r"failed with error code (\d{3})", reason):
        status = int(found[1])
        if status in _REFUSED:
            return f"MLflow could not {doing}: {_refused()[status]}."
        if status == HTTPStatus.NOT_FOUND:
            return (
                f"MLflow could not {doing}: its server is too old for that request: update MLflow there to 2.9+, "
                "or set WORKSHOP_SLOTS=stage if it has no aliases."
            )
    return f"MLflow could not {doing}: {reason}{what_to_do}."


def _on_databricks() -> bool:
    return is_databricks(tracking_uri())


def _refused() -> dict[int | None, str]:
    return REFUSED_BY_DATABRICKS if _on_databricks() else _REFUSED


def _require_answer(uri: str) -> None:
    """Check that an MLflow server answers, with MLflow's own credentials, certificates and proxies."""
    store_faults.require_server_address("MLFLOW_TRACKING_URI", uri)
    shown = store_address.without_credentials(uri)
    advice = f"start it, or unset MLFLOW_TRACKING_URI to use the store in {current_settings().home}"
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/health",
            "GET",
            max_retries=0,
            timeout=_SECONDS_TO_ANSWER,
            raise_on_status=False,
        )
    except (MlflowException, OSError) as error:
        reason = error.__cause__ or error.__context__ or error
        raise WorkshopError(store_faults.unreachable(reason, shown, advice, _SECONDS_TO_ANSWER)) from error
    if answer.status_code >= 500:
        raise WorkshopError(f"The MLflow server at {shown} answers with error {answer.status_code}: {advice}.")
