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
        "Nothing says which workspace is meant: set DATABRICKS_HOST to its address, as in "
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
            f"There is no profile {found[2]} in {found[1]}: set DATABRICKS_CONFIG_PROFILE to one that is there, or "
            f"make it with `databricks auth login --profile {found[2]}`."
        )
    if found := re.search(r"more than one authorization method configured: (.+)", message):
        return (
            f"The environment has credentials of more than one kind ({found[1]}): set DATABRICKS_AUTH_TYPE to the one "
            "that is meant, pat, oauth-m2m, azure-cli or azure-devops-oidc, or unset the others."
        )
    if "cannot configure default credentials" in message and config is not None:
        return _missing(config)
    return refused(message, config)


def refused(message: str, config: Config | None) -> str:
    """Return the error for a token that Databricks or Microsoft Entra refuses to issue."""
    kind = (config.auth_type if config is not None else None) or _kind_in(message)
    message = message.removeprefix("default auth: ").removeprefix(f"{kind}: ")
    if config is not None and _by_oauth(kind) and not config.discovery_url:
        return f"{config.host} does not say where to sign in: correct DATABRICKS_HOST, it is no workspace's address."
    if config is not None and kind == "oauth-m2m":
        return (
            f"Databricks does not accept the client secret of the service principal {config.client_id} ({message}): "
            "correct DATABRICKS_CLIENT_ID, or make a new secret for it and set DATABRICKS_CLIENT_SECRET."
        )
    if config is not None and kind == "azure-client-secret":
        return (
            f"Microsoft Entra does not accept the client secret of {config.azure_client_id} ({message}): correct "
            "ARM_TENANT_ID and ARM_CLIENT_ID, or make a new secret and set ARM_CLIENT_SECRET."
        )
    if config is not None and _by_oauth(kind):
        return (
            f"Databricks does not accept this pipeline as the service principal {config.client_id} ({message}): its "
            f"federation policy names another issuer, audience or subject; {ASK_THE_DOCTOR}."
        )
    return f"Databricks could not sign in{f' with {kind}' if kind else ''}: {message}."


def not_accepted(error: DatabricksError, config: Config) -> str:
    """Return the error for credentials that the workspace does not accept."""
    message, kind = quoted(error), config.auth_type or ""
    again = _NEW_TOKEN.get(kind, "sign in again")
    if re.search(r"\bexpir", message, re.IGNORECASE):
        return f"The credentials for {config.host} have expired: {again}."
    if isinstance(error, platform.NotFound):
        return f"{config.host} is no Databricks workspace ({message}): correct DATABRICKS_HOST."
    if re.search(r"\biss claim|\bissuer\b", message):
        return (
            f"The credentials are of another Microsoft Entra tenant than {config.host}: sign in to the workspace's "
            "own, with `az login --tenant …` or ARM_TENANT_ID."
        )
    if isinstance(error, platform.Unauthenticated) or re.search(r"invalid (access )?token", message, re.IGNORECASE):
        return (
            f"{config.host} does not know these credentials ({message}): they may be another workspace's, or revoked; "
            f"correct DATABRICKS_HOST, or {again}."
        )
    return (
        f"{config.host} knows who this is and does not let it in ({message}): let an administrator add it to the "
        "workspace (Settings > Identity and access)."
    )


def _missing(config: Config) -> str:
    """Return what is missing for the chosen way to sign in."""
    match config.auth_type:
        case "azure-cli":
            return _missing_azure_cli(config)
        case "azure-devops-oidc":
            return _missing_pipeline(config)
        case "pat":
            return "DATABRICKS_AUTH_TYPE is pat, and there is no token: set DATABRICKS_TOKEN."
        case "oauth-m2m":
            return (
                "DATABRICKS_AUTH_TYPE is oauth-m2m: set DATABRICKS_CLIENT_ID to the service principal's application id "
                "and DATABRICKS_CLIENT_SECRET to its secret."
            )
        case None:
            way = (
                "in a pipeline, run this in an AzureCLI@2 step with DATABRICKS_AUTH_TYPE=azure-cli, or set "
                "DATABRICKS_AUTH_TYPE=azure-devops-oidc, DATABRICKS_CLIENT_ID and SYSTEM_ACCESSTOKEN"
                if os.environ.get("TF_BUILD")
                else "run `az login`, or set DATABRICKS_CONFIG_PROFILE to a profile, DATABRICKS_TOKEN to a token, or "
                "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET to a service principal's"
            )
            return f"There are no credentials for {config.host}: {way}."
        case chosen:
            return (
                f"DATABRICKS_AUTH_TYPE is {chosen}, and what that needs is not here: set it to pat, oauth-m2m, "
                "azure-cli or azure-devops-oidc, or unset it and let the SDK look."
            )


def _missing_azure_cli(config: Config) -> str:
    if shutil.which("az") is None:
        return (
            "DATABRICKS_AUTH_TYPE is azure-cli, and there is no `az` here: install the Azure CLI and run `az login`, "
            "or, in a pipeline, run this in an AzureCLI@2 step."
        )
    if not config.effective_azure_login_app_id:
        return f"DATABRICKS_AUTH_TYPE is azure-cli, and {config.host} is no Azure address: correct DATABRICKS_HOST."
    return (
        "DATABRICKS_AUTH_TYPE is azure-cli, and `az` gives no token for Databricks: run `az login`, or, in a pipeline, "
        "run this in an AzureCLI@2 step with the service connection."
    )


def _missing_pipeline(config: Config) -> str:
    if not config.client_id:
        return (
            "DATABRICKS_AUTH_TYPE is azure-devops-oidc: set DATABRICKS_CLIENT_ID to the application id of the service "
            "principal that the pipeline is to be."
        )
    if not os.environ.get("SYSTEM_ACCESSTOKEN"):
        return (
            "DATABRICKS_AUTH_TYPE is azure-devops-oidc, and the step has no access token: add "
            "`SYSTEM_ACCESSTOKEN: $(System.AccessToken)` to its `env:`."
        )
    if missing := [name for name in _OF_A_PIPELINE_JOB if not os.environ.get(name)]:
        return (
            f"DATABRICKS_AUTH_TYPE is azure-devops-oidc, and {', '.join(missing)} is not set, as it is in every job of "
            "Azure Pipelines: run this there, or sign in another way."
        )
    return (
        "Azure DevOps has given this job no identity token: its endpoint has refused SYSTEM_ACCESSTOKEN; let it be "
        "$(System.AccessToken) of this very job."
    )


def _by_oauth(kind: str | None) -> bool:
    return kind is not None and (kind == "oauth-m2m" or kind.endswith("-oidc"))


def _kind_in(message: str) -> str | None:
    found = re.search(r"^(?:default auth: )?([a-z][a-z-]+): ", message)
    return found[1] if found and found[1] != "default" else None
