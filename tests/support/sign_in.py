"""Ways to sign in to a workspace, as environment variables and files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from databricks.sdk import environments

from databricks_local.azure_cli import write_az
from databricks_local.workspace import Workspace

SetUp = Callable[[Workspace, pytest.MonkeyPatch, Path], None]


def by_token(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    """Set a token."""
    env.setenv("DATABRICKS_TOKEN", workspace.token)


def by_secret(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    """Set the service principal's secret."""
    env.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    env.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)


def by_azure_cli(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    """Install an `az` that is signed in."""
    write_az(folder / "bin", workspace)
    as_an_azure_address(workspace.host, env)
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-cli")


def by_federation(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    """Set what a pipeline with a federation policy has."""
    for name, value in workspace.azure_devops_environment().items():
        env.setenv(name, value)
    env.setenv("DATABRICKS_AUTH_TYPE", "azure-devops-oidc")
    env.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)


def by_profile(workspace: Workspace, env: pytest.MonkeyPatch, folder: Path) -> None:
    """Write a profile of the SDK's configuration file."""
    env.delenv("DATABRICKS_HOST")
    write_profile(folder, f"[wine]\nhost = {workspace.host}\ntoken = {workspace.token}\n")
    env.setenv("DATABRICKS_CONFIG_PROFILE", "wine")


def as_an_azure_address(host: str, env: pytest.MonkeyPatch) -> None:
    """The SDK knows Azure by the end of the host's name, and asks `az` for nothing anywhere else."""
    azure = environments.DatabricksEnvironment(
        environments.Cloud.AZURE,
        host.removeprefix("http://127.0.0.1"),
        azure_application_id=environments.ARM_DATABRICKS_RESOURCE_ID,
        azure_environment=environments.ENVIRONMENTS["PUBLIC"],
    )
    env.setattr(environments, "ALL_ENVS", [azure, *environments.ALL_ENVS])


def write_profile(folder: Path, text: str) -> None:
    """Write the SDK's configuration file."""
    (folder / ".databrickscfg").write_text(text, encoding="utf-8")
