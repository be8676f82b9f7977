"""The reasons why a sign-in fails, by kind of credential, each with the remedy."""

import os
import re
import shutil
from pathlib import Path

from databricks.sdk.config import Config
from databricks.sdk.errors import platform
from databricks.sdk.errors.base import DatabricksError

from workshop.databricks.errors import quoted

_OF_A_PIPELINE_JOB = (
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
    "SYSTEM_TEAMPROJECTID",
    "SYSTEM_PLANID",
    "SYSTEM_JOBID",
    "SYSTEM_HOSTTYPE",
)
_NEW_TOKEN = {
    "pat": "make a new token and set DATABRICKS_TOKEN",
    "azure-cli": "run `az login` again",
    "databricks-cli": "run `databricks auth login` again",
    "oauth-m2m": "make a new client secret and set DATABRICKS_CLIENT_SECRET",
    "azure-client-secret": "make a new client secret and set ARM_CLIENT_SECRET",
}
_SECRETS = {
    "oauth-m2m": ("Databricks", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"),
    "azure-client-secret": ("Microsoft Entra", "ARM_TENANT_ID and ARM_CLIENT_ID", "ARM_CLIENT_SECRET"),
}
"""For each kind with a client secret: what issues the tokens, and the variables."""
ASK_THE_DOCTOR = "`workshop doctor --federation ORGANIZATION/PROJECT/PIPELINE` prints the policy to create"


def no_host(config: Config) -> str:
    """Return the error for a missing workspace address."""
    file = config.config_file or "~/.databrickscfg"
    if config.profile and not Path(file).expanduser().exists():
        return (
            f"DATABRICKS_CONFIG_PROFILE is {config.profile}, and there is no {file}: "
            f"make it with `databricks auth login --profile {config.profile}`, or set DATABRICKS_HOST."
        )
    if config.profile:
        return f"The profile {config.profile} in {file} has no host: add host = https://adb-….azuredatabricks.net."
    return (
        "No workspace is configured: set DATABRICKS_HOST to its address, as in "
        "https://adb-1234567890123456.7.azuredatabricks.net, or DATABRICKS_CONFIG_PROFILE to a profile."
    )


def not_found(message: str, config: Config | None) -> str:
    """Return the error for settings in which the SDK finds no credentials.

    Args:
        message: the SDK's message.
        config: its settings, as far as it has read them.
    """
    if found := re.search(r"resolve: (.+) has no (.+) profile configured", message):
        return (
            f"There is no profile {found[2]} in {found[1]}: set DATABRICKS_CONFIG_PROFILE to another one, or "
            f"make it with `databricks auth login --profile {found[2]}`."
        )
    if found := re.search(r"more than one authorization method configured: (.+)", message):
        return (
            f"The environment has credentials of more than one kind ({found[1]}): set DATABRICKS_AUTH_TYPE to pat, "
            "oauth-m2m, azure-cli or azure-devops-oidc, or unset the others."
        )
    if "cannot configure default credentials" in message and config is not None:
        return _missing(config)
    return refused(message, config)


def refused(message: str, config: Config | None) -> str:
    """Return the error for a token that Databricks or Microsoft Entra refuses to issue."""
    found = re.search(r"^(?:default auth: )?(?!default)([a-z][a-z-]+): ", message)
    kind = (config.auth_type if config is not None else None) or (found[1] if found else "")
    message = message.removeprefix("default auth: ").removeprefix(f"{kind}: ")
    by_oauth = kind == "oauth-m2m" or kind.endswith("-oidc")
    if config is not None and by_oauth and not config.discovery_url:
        return f"{config.host} is not the address of a workspace, so there is no sign-in: correct DATABRICKS_HOST."
    if config is not None and kind in _SECRETS:
        issuer, names, secret = _SECRETS[kind]
        principal = config.client_id if kind == "oauth-m2m" else config.azure_client_id
        return (
            f"{issuer} does not accept the client secret of the service principal {principal} ({message}): correct "
            f"{names}, or make a new secret and set {secret}."
        )
    if config is not None and by_oauth:
        return (
            f"Databricks does not accept this pipeline as the service principal {config.client_id} ({message}): its "
            f"federation policy names another issuer, audience or subject; {ASK_THE_DOCTOR}."
        )
    return f"Databricks could not sign in{f' with {kind}' if kind else ''}: {message}."


def not_accepted(error: DatabricksError, config: Config) -> str:
    """Return the error for credentials that the workspace does not accept."""
    message, host = quoted(error), config.host
    again = _NEW_TOKEN.get(config.auth_type or "", "sign in again")
    if re.search(r"\bexpir", message, re.IGNORECASE):
        return f"The credentials for {host} have expired: {again}."
    if isinstance(error, platform.NotFound):
        return f"{host} is not a Databricks workspace ({message}): correct DATABRICKS_HOST."
    if re.search(r"\biss claim|\bissuer\b", message):
        return (
            f"The credentials are of another Microsoft Entra tenant than {host}: sign in to the workspace's own, with "
            "`az login --tenant …` or ARM_TENANT_ID."
        )
    if isinstance(error, platform.Unauthenticated) or re.search(r"invalid (access )?token", message, re.IGNORECASE):
        return (
            f"{host} does not accept these credentials ({message}): they are revoked, or another workspace's; correct "
            f"DATABRICKS_HOST, or {again}."
        )
    return (
        f"{host} accepts the credentials but refuses access ({message}): let an administrator add the user or service "
        "principal to the workspace (Settings > Identity and access)."
    )


def _missing(config: Config) -> str:
    """Return what is missing for the chosen way to sign in."""
    match config.auth_type:
        case None:
            way = (
                "in a pipeline, run this in an AzureCLI@2 step with DATABRICKS_AUTH_TYPE=azure-cli, or set "
                "DATABRICKS_AUTH_TYPE=azure-devops-oidc, DATABRICKS_CLIENT_ID and SYSTEM_ACCESSTOKEN"
                if os.environ.get("TF_BUILD")
                else "run `az login`, or set DATABRICKS_CONFIG_PROFILE to a profile, DATABRICKS_TOKEN to a token, or "
                "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET to a service principal's"
            )
            return f"There are no credentials for {config.host}: {way}."
        case "pat":
            what = "there is no token: set DATABRICKS_TOKEN"
        case "oauth-m2m":
            what = (
                "the service principal is not complete: set DATABRICKS_CLIENT_ID to its application id and "
                "DATABRICKS_CLIENT_SECRET to its secret"
            )
        case "azure-cli":
            what = _missing_azure_cli(config)
        case "azure-devops-oidc":
            what = _missing_pipeline(config)
        case _:
            what = (
                "its settings are missing: set it to pat, oauth-m2m, azure-cli or azure-devops-oidc, or unset it to "
                "let the SDK choose"
            )
    return f"DATABRICKS_AUTH_TYPE is {config.auth_type}, and {what}."


def _missing_azure_cli(config: Config) -> str:
    in_a_pipeline = "or, in a pipeline, run this in an AzureCLI@2 step with the service connection"
    if shutil.which("az") is None:
        return f"there is no `az` here: install the Azure CLI and run `az login`, {in_a_pipeline}"
    if not config.effective_azure_login_app_id:
        return f"{config.host} is not an Azure address: correct DATABRICKS_HOST"
    return f"`az` gives no token for Databricks: run `az login`, {in_a_pipeline}"


def _missing_pipeline(config: Config) -> str:
    if not config.client_id:
        return "no service principal is configured: set DATABRICKS_CLIENT_ID to its application id"
    if not os.environ.get("SYSTEM_ACCESSTOKEN"):
        return "the step has no access token: add `SYSTEM_ACCESSTOKEN: $(System.AccessToken)` to its `env:`"
    if missing := [name for name in _OF_A_PIPELINE_JOB if not os.environ.get(name)]:
        return f"{', '.join(missing)} is not set outside of Azure Pipelines: run this there, or sign in another way"
    return (
        "Azure DevOps refuses SYSTEM_ACCESSTOKEN and gives no identity token: set it to $(System.AccessToken) of this "
        "job"
    )
