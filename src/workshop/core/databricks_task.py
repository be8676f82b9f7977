"""The Databricks job task that a notebook may be run by: what it gives the notebook, and how the notebook ends it.

Anywhere else there is no such task, and then nothing here does anything.
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
"""The environment variables that a task hands to its notebook as widgets of the same names: a task of a job on
serverless compute or on a cluster that exists has no other way to set one. No others are taken, whatever a job may
say."""

GIVEN_PARAMETERS = "WORKSHOP_PARAMETERS"
"""The environment variable with which a run on this machine gives a notebook its parameters a second time, as JSON:
cells of the notebook can set the values of the injected cell back."""


def is_running() -> bool:
    """Whether a task runs this notebook."""
    return _dbutils() is not None


def widgets() -> dict[str, str]:
    """The widgets of the task, by name; nothing where no task runs this notebook."""
    dbutils = _dbutils()
    return dict(dbutils.widgets.getAll()) if dbutils is not None else {}


def given_parameters() -> dict[str, Any]:
    """Return the parameters that this run gives this notebook: the widgets of a task, or `WORKSHOP_PARAMETERS`."""
    if is_running():
        return dict(widgets())
    return dict(json.loads(os.environ.get(GIVEN_PARAMETERS) or "{}"))


def take_environment(given: dict[str, str]) -> None:
    """Set the environment variables that are among the widgets, for all that this process does from now on."""
    os.environ.update({name: given[name] for name in FOR_THE_ENVIRONMENT if name in given})


def end_with(text: str) -> None:
    """End the notebook here with `text` as the result of its task."""
    _dbutils().notebook.exit(text)


def _dbutils() -> Any:
    get_ipython = getattr(builtins, "get_ipython", None)
    shell = get_ipython() if callable(get_ipython) else None
    return shell.user_ns.get("dbutils") if shell is not None else None
