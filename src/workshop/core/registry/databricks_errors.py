"""Translation of Databricks' errors into sentences: what is wrong, and what to do."""

import os
import re
from http import HTTPStatus

import requests

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError
from workshop.core.registry.store_address import without_credentials

REFUSED_BY_DATABRICKS: dict[int | None, str] = {
    HTTPStatus.UNAUTHORIZED: "Databricks does not accept the credential: sign in again, or request a new one, then "
    "check your identity with `workshop doctor`",
    HTTPStatus.FORBIDDEN: "Databricks does not let you: ask the workspace's administrator for the right; "
    "`workshop doctor` lists the rights that are needed",
}
_STATUS_OF: dict[str, int] = {
    "401": HTTPStatus.UNAUTHORIZED,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "CUSTOMER_UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
}
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


def known_refusal(error: Exception) -> str:
    """Return what is wrong and what to do, as the end of a sentence; empty for an unknown error.

    Args:
        error: from MLflow, or from the Databricks SDK, whose errors are `OSError`s with an `error_code`.
    """
    # The SDK appends its settings.
    message = first_sentence(error).partition(" Config: ")[0].rstrip(" .")
    code = str(getattr(error, "error_code", ""))
    refused = _STATUS_OF.get(code)
    if "invalid access token" in message.lower():  # Databricks returns 403 for an unknown token
        refused = HTTPStatus.UNAUTHORIZED
    if refused is not None:
        return f" ({message}): {REFUSED_BY_DATABRICKS[refused]}"
    if "credential configuration failed" in message:
        return (
            ": it found no credential for Databricks; set DATABRICKS_HOST and a credential, or "
            "DATABRICKS_CONFIG_PROFILE, and check them with `workshop doctor`"
        )
    about_a_place = re.search(r"\b(catalog|schema) '", message, re.IGNORECASE)
    if code.endswith(("CATALOG_DOES_NOT_EXIST", "SCHEMA_DOES_NOT_EXIST")) or (code in _NOT_THERE and about_a_place):
        return f" ({message}): correct the parameter model_name, or create the catalog and the schema in Unity Catalog"
    if isinstance(error, TimeoutError):
        return f", Databricks does not answer ({message}): check the network with `workshop doctor`, then run it again"
    return (
        f", Databricks answered: {message}; check the set-up with `workshop doctor`"
        if isinstance(error, OSError) and code
        else ""
    )


def require_folder(experiment: str, error: Exception) -> None:
    """Explain the error of a missing folder of an experiment; MLflow can't create one.

    Raises:
        WorkshopError: the folder is missing.
    """
    folder, _, name = experiment.rpartition("/")
    if getattr(error, "error_code", "") in _NOT_THERE:
        raise WorkshopError(
            f"The workspace has no folder {folder} for the experiment {name}: start the run with `workshop run "
            f"--target databricks`, which creates it, or create it with `databricks workspace mkdirs {folder}`; "
            "WORKSHOP_EXPERIMENTS chooses another folder."
        ) from error


def require_workspace(seconds: float) -> None:
    """Check that the workspace answers; MLflow itself needs five minutes to give up.

    The check is skipped if the host is in a profile, and in a notebook on Databricks.

    Args:
        seconds: time-out.

    Raises:
        WorkshopError: the workspace does not answer.
    """
    host = os.environ.get("DATABRICKS_HOST", "").strip().rstrip("/")
    if not host or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return
    host = host if "://" in host else f"https://{host}"
    shown = without_credentials(host)
    advice = "correct DATABRICKS_HOST, or check the network with `workshop doctor`"
    try:
        requests.get(f"{host}/.well-known/databricks-config", timeout=seconds)
    except requests.Timeout as error:
        raise WorkshopError(
            f"The Databricks workspace at {shown} did not answer within {seconds} seconds: {advice}."
        ) from error
    except requests.RequestException as error:
        raise WorkshopError(f"No Databricks workspace found at {shown}: {advice}.") from error
