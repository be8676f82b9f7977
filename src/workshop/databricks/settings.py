"""The settings of runs on Databricks: `WORKSHOP_DATABRICKS_…` environment variables.

The SDK itself reads the credentials, from `DATABRICKS_…` and `ARM_…` variables or from a profile.
"""

import os
from difflib import get_close_matches
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings

PREFIX = "WORKSHOP_DATABRICKS_"


def _in_a_volume(home: str) -> str:
    if (home and len([part for part in home.split("/") if part]) < 4) or (home and not home.startswith("/Volumes/")):
        raise ValueError("it should be a folder in a volume, as in /Volumes/catalog/schema/volume")
    return home.rstrip("/")


def _in_the_workspace(folder: str) -> str:
    if not folder.startswith("/"):
        raise ValueError("it should be a folder of the workspace, as in /Workspace/Shared/workshop")
    return folder.rstrip("/")


class DatabricksSettings(BaseSettings):
    """The settings, read from the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    compute: Literal["serverless", "cluster", "job_cluster"] = "serverless"
    """`cluster` is an existing one; `job_cluster` is that of a deployed job, started for each run."""
    cluster_id: str = ""
    """The existing cluster."""
    job_id: Annotated[int, Field(ge=0)] = 0
    """The job that the bundle has deployed; `job_cluster` runs it."""
    node_type: str = "Standard_D4ds_v5"
    """The job cluster's machines: four cores and 16 GB, more than twice what the wines need."""
    workers: Annotated[int, Field(ge=0, le=100)] = 0
    """The job cluster's machines besides the driver; only scoring a table larger than memory needs them."""
    spark_version: str = "17.3.x-scala2.13"
    """The job cluster's runtime."""
    environment_version: str = "4"
    """The version of the serverless environment: its Python and its libraries."""
    code: Literal["upload", "git"] = "upload"
    """The notebooks are uploaded from here, or Databricks fetches them from the repository."""
    git_url: str = ""
    """The repository's https address, without a user name or token."""
    git_provider: Literal[
        "azureDevOpsServices",
        "gitHub",
        "gitHubEnterprise",
        "gitLab",
        "gitLabEnterpriseEdition",
        "bitbucketCloud",
        "bitbucketServer",
    ] = "azureDevOpsServices"
    """The Git provider's name in Databricks."""
    folder: Annotated[str, AfterValidator(_in_the_workspace)] = "/Workspace/Shared/workshop"
    """The workspace folder for the code of runs; each run's code is removed when it ends."""
    home: Annotated[str, AfterValidator(_in_a_volume)] = ""
    """`WORKSHOP_HOME` of the notebooks there: a folder in a volume, for the Delta tables."""
    timeout_minutes: Annotated[int, Field(ge=1, le=60 * 24 * 7)] = 60
    """Time limit of the run, with the wait for compute."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Time between two polls of the run."""
    retry_seconds: Annotated[int, Field(ge=1)] = 300
    """Time for retries of a call that the service does not answer or defers."""
    idempotency_token: str = ""
    """Work submitted twice with the same token runs once. Empty: the attempt of the pipeline's job, or a new one."""


def databricks_settings() -> DatabricksSettings:
    """Read the settings from the environment as it is now."""
    try:
        settings = DatabricksSettings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"{PREFIX}{str(first['loc'][0]).upper()}"
        problem = first["msg"].removeprefix("Value error, ").replace("Input", "it")
        raise WorkshopError(f"The environment variable {variable} is {str(first['input'])!r}: {problem}.") from error
    if settings.compute == "cluster" and not settings.cluster_id:
        raise WorkshopError(
            f"{PREFIX}COMPUTE is cluster, and no cluster is configured: set {PREFIX}CLUSTER_ID to its id "
            "(Compute > the cluster > the last part of its address)."
        )
    if settings.code == "git":
        _require_an_address(settings.git_url)
    return settings


def require_location(settings: DatabricksSettings) -> None:
    """Check that a location is configured for the wine tables."""
    if not settings.home and not current_settings().tables:
        raise WorkshopError(
            f"No location is configured for the wine tables: set {PREFIX}HOME to a folder in a volume, as in "
            "/Volumes/catalog/schema/volume, or WORKSHOP_TABLES to catalog.schema."
        )


def misspelt_variables() -> list[str]:
    """Return a sentence for each environment variable with the prefix that is not a setting."""
    known = [f"{PREFIX}{name.upper()}" for name in DatabricksSettings.model_fields]
    sentences = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            meant = get_close_matches(name, known, n=1)
            sentences.append(f"{name} is not a setting" + (f", did you mean {meant[0]}?" if meant else ""))
    return sentences


def _require_an_address(git_url: str) -> None:
    if not git_url.startswith("https://"):
        raise WorkshopError(
            f"{PREFIX}CODE is git, so {PREFIX}GIT_URL must be the repository's https address, as in "
            "https://dev.azure.com/organisation/project/_git/repository."
        )
    if "@" in urlsplit(git_url).netloc:
        raise WorkshopError(
            f"{PREFIX}GIT_URL must be the repository's address without a user name or token: add a Git credential in "
            "Databricks (`workshop doctor` checks for it)."
        )
