"""What Databricks refuses, in sentences of what is wrong and what to do."""

import os
import re
from http import HTTPStatus

import requests

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError
from workshop.core.registry.store_faults import without_credentials

REFUSED_BY_DATABRICKS: dict[int | None, str] = {
    HTTPStatus.UNAUTHORIZED: "Databricks does not accept the credential: sign in again, or have a new one made, and "
    "look with `workshop doctor` at who you are",
    HTTPStatus.FORBIDDEN: "Databricks does not let you: ask whoever runs the workspace for the right to do that; "
    "`workshop doctor` says which rights it takes",
}
_STATUS_OF: dict[str, int] = {
    "401": HTTPStatus.UNAUTHORIZED,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "CUSTOMER_UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
}
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


def known_refusal(error: Exception) -> str:
    """What is wrong and what to do, as the end of a sentence; empty where the error is not one that is known.

    Args:
        error: MLflow's, or of Databricks' own library, whose errors are `OSError`s with an `error_code`.
    """
    # The library adds what its settings are, which nobody has asked.
    said = first_sentence(error).partition(" Config: ")[0].rstrip(" .")
    code = str(getattr(error, "error_code", ""))
    refused = _STATUS_OF.get(code)
    if "invalid access token" in said.lower():  # it forbids with an unknown token what it would let nobody do
        refused = HTTPStatus.UNAUTHORIZED
    if refused is not None:
        return f" ({said}): {REFUSED_BY_DATABRICKS[refused]}"
    if "credential configuration failed" in said:
        return (
            ": it does not know how to sign in to Databricks; set DATABRICKS_HOST and a credential, or "
            "DATABRICKS_CONFIG_PROFILE, and look at it with `workshop doctor`"
        )
    about_a_place = re.search(r"\b(catalog|schema) '", said, re.IGNORECASE)
    if code.endswith(("CATALOG_DOES_NOT_EXIST", "SCHEMA_DOES_NOT_EXIST")) or (code in _NOT_THERE and about_a_place):
        return f" ({said}): correct the parameter model_name, or have the catalog and the schema made in Unity Catalog"
    if isinstance(error, TimeoutError):
        return f", Databricks does not answer ({said}): look at the network with `workshop doctor`, then run it again"
    return (
        f", Databricks says: {said}; `workshop doctor` looks at the set-up"
        if isinstance(error, OSError) and code
        else ""
    )


def require_folder(experiment: str, error: Exception) -> None:
    """Say that an experiment's folder is not there, if that is the error; only the workspace's own API makes one.

    Raises:
        WorkshopError: that is the error.
    """
    folder, _, name = experiment.rpartition("/")
    if getattr(error, "error_code", "") in _NOT_THERE:
        raise WorkshopError(
            f"The workspace has no folder {folder} for the experiment {name}: start the run with `workshop run "
            f"--target databricks`, which makes it, or make it with `databricks workspace mkdirs {folder}`; another "
            "place can be chosen with WORKSHOP_EXPERIMENTS."
        ) from error


def require_workspace(seconds: float) -> None:
    """Look whether the workspace answers at all; MLflow's own way to find out takes five minutes.

    Where the host is in a profile there is nothing to look at, and a notebook on Databricks is where it is.

    Args:
        seconds: until it is given up.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    host = os.environ.get("DATABRICKS_HOST", "").strip().rstrip("/")
    if not host or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return
    host = host if "://" in host else f"https://{host}"
    shown = without_credentials(host)
    advice = "correct DATABRICKS_HOST, or look at the network with `workshop doctor`"
    try:
        requests.get(f"{host}/.well-known/databricks-config", timeout=seconds)
    except requests.Timeout as error:
        raise WorkshopError(
            f"The Databricks workspace at {shown} did not answer within {seconds} seconds: {advice}."
        ) from error
    except requests.RequestException as error:
        raise WorkshopError(f"There is no Databricks workspace at {shown}: {advice}.") from error
