"""The Databricks job task that runs a notebook: its widgets, and its exit value.

Outside Databricks there is no task: the widgets are empty.
"""

import builtins
import json
import os
from typing import Any

FOR_THE_ENVIRONMENT = (
    "WORKSHOP_HOME",
    "WORKSHOP_TABLES",
    "WORKSHOP_EXPERIMENTS",
    "WORKSHOP_SLOTS",
    "WORKSHOP_SPARK_ROWS",
    "WORKSHOP_RUN_ID",
    "WORKSHOP_RUN_NOTEBOOKS",
    "WORKSHOP_GIT_COMMIT",
    "WORKSHOP_REQUESTED_FOR",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
)
"""The environment variables that a task passes as widgets of the same names, the only way on serverless compute and on
existing clusters. Other widgets never become environment variables."""

GIVEN_PARAMETERS = "WORKSHOP_PARAMETERS"
"""The environment variable with a local run's parameters as JSON, to detect cells that overwrite them."""


def is_running() -> bool:
    """Return whether a task runs this notebook."""
    return _dbutils() is not None


def widgets() -> dict[str, str]:
    """Return the widgets of the task by name; empty without a task."""
    dbutils = _dbutils()
    return dict(dbutils.widgets.getAll()) if dbutils is not None else {}


def given_parameters() -> dict[str, Any]:
    """Return the parameters that the run passes to this notebook: the task's widgets, or `WORKSHOP_PARAMETERS`."""
    if is_running():
        return dict(widgets())
    return dict(json.loads(os.environ.get(GIVEN_PARAMETERS) or "{}"))


def take_environment(given: dict[str, str]) -> None:
    """Set the environment variables that are among the widgets."""
    os.environ.update({name: given[name] for name in FOR_THE_ENVIRONMENT if name in given})


def end_with(text: str) -> None:
    """End the notebook here with `text` as the result of its task."""
    _dbutils().notebook.exit(text)


def _dbutils() -> Any:
    get_ipython = getattr(builtins, "get_ipython", None)
    shell = get_ipython() if callable(get_ipython) else None
    return shell.user_ns.get("dbutils") if shell is not None else None
