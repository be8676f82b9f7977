"""The trust with which Azure Pipelines signs in to Databricks without a stored secret.

There are two ways, each with a trust of its own and its own form of subject:

- `azure-devops-oidc`: the SDK asks Azure DevOps for the identity token of the job (databricks-sdk,
  `oidc_token_supplier.py`: without a service connection) and gives it to Databricks. A federation policy of the service
  principal in Databricks must name it (Databricks, "Enable workload identity federation for Azure DevOps Pipelines").
- `azure-cli` in an AzureCLI@2 step: Azure DevOps signs in to Microsoft Entra by a service connection. A federated
  credential of the application in Entra must name that (Microsoft, "Convert service connections to the Entra issuer").
"""

import base64
import json
import os
import shlex
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from workshop.core.errors import UsageError, WorkshopError

AUDIENCE = "api://AzureADTokenExchange"
_ISSUER = "https://vstoken.dev.azure.com"
_ORGANIZATION_ID = "<organization id>"
_HOW_TO_FIND_THE_ID = """\
The organization id is what a pipeline's step `echo $(System.CollectionId)` prints: give it with --organization-id.

"""
_OPEN = (
    "Not tested on the real services; taken from their documentation and the SDK. Names go into a subject as\n"
    "shown; how Azure DevOps writes a blank in one is not documented: if Databricks refuses the token,\n"
    "`workshop doctor` in the pipeline prints its real claims."
)


@dataclass(frozen=True)
class Trust:
    """The claims of an outside token that are accepted."""

    issuer: str
    audience: str
    subject: str

    @property
    def policy(self) -> dict[str, Any]:
        """The JSON of a Databricks federation policy."""
        return {"oidc_policy": {"issuer": self.issuer, "audiences": [self.audience], "subject": self.subject}}

    def databricks_command(self) -> str:
        """Return the Databricks CLI's command that creates the policy, for an account administrator."""
        principal = "<numeric id of the service principal>"
        policy = shlex.quote(json.dumps(self.policy, ensure_ascii=False))
        return f"databricks account service-principal-federation-policy create {shlex.quote(principal)} --json {policy}"

    def entra_command(self, name: str) -> str:
        """Return the Azure CLI's command that creates the federated credential."""
        credential = {"name": name, "issuer": self.issuer, "subject": self.subject, "audiences": [self.audience]}
        application = shlex.quote("<client id of the application>")
        parameters = shlex.quote(json.dumps(credential, ensure_ascii=False))
        return f"az ad app federated-credential create --id {application} --parameters {parameters}"


@dataclass(frozen=True)
class Place:
    """A pipeline, or a service connection, of a project in an organization."""

    organization: str
    project: str
    name: str
    organization_id: str = _ORGANIZATION_ID

    @property
    def of_the_pipeline(self) -> Trust:
        """Claims of a job of the pipeline of that name, for Databricks."""
        return Trust(f"{_ISSUER}/{self.organization_id}", AUDIENCE, f"p://{self._path}")

    @property
    def of_the_connection(self) -> Trust:
        """Claims of a service connection of that name, for Entra, where it still has Azure DevOps' own issuer."""
        return Trust(f"{_ISSUER}/{self.organization_id}", AUDIENCE, f"sc://{self._path}")

    @property
    def _path(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}"


def place(text: str, organization_id: str = "") -> Place:
    """Read ORGANIZATION/PROJECT/NAME.

    Raises:
        UsageError: the text has another form.
    """
    parts = text.split("/", 2)
    if len(parts) != 3 or not all(part.strip() == part and part.isprintable() and part for part in parts):
        raise UsageError(
            f"--federation is {text!r}: give ORGANIZATION/PROJECT/NAME, as in our-company/wine/cd, where NAME is the "
            "pipeline's or the service connection's."
        )
    organization, project, name = parts
    return Place(
        organization, project, name, organization_id or os.environ.get("SYSTEM_COLLECTIONID") or _ORGANIZATION_ID
    )


def of_this_job() -> Trust | None:
    """Return the claims of the token of this pipeline's job; None outside a pipeline."""
    from databricks.sdk.oidc_token_supplier import AzureDevOpsOIDCTokenSupplier  # noqa: PLC0415  # an extra

    try:
        supplier = AzureDevOpsOIDCTokenSupplier()  # type: ignore[no-untyped-call]
        token = supplier.get_oidc_token(AUDIENCE)
    except ValueError:  # a variable of the job is missing
        return None
    return _claims(token) if token else None


def explain(where: Place) -> str:
    """Return the instructions for both ways, with what to create for each."""
    pipeline, connection = where.of_the_pipeline, where.of_the_connection
    unknown = _HOW_TO_FIND_THE_ID if where.organization_id == _ORGANIZATION_ID else ""
    query = shlex.quote(f"[?name=='{where.name}'].authorization.parameters")
    organization = shlex.quote(f"https://dev.azure.com/{where.organization}")
    return f"""\
1. DATABRICKS_AUTH_TYPE=azure-devops-oidc: Databricks trusts the pipeline {where.name!r} itself.
   A federation policy of the service principal, in the Databricks account:
     issuer    {pipeline.issuer}
     audience  {pipeline.audience}
     subject   {pipeline.subject}
   An account administrator creates it (account console > User management > Service principals shows the numeric id):
     {pipeline.databricks_command()}
   The step sets DATABRICKS_HOST, DATABRICKS_CLIENT_ID (the application id), and in `env:`
   SYSTEM_ACCESSTOKEN: $(System.AccessToken).
   The subject contains the pipeline's name, not a service connection's; a renamed pipeline needs a new policy.

2. DATABRICKS_AUTH_TYPE=azure-cli in an AzureCLI@2 step: Microsoft Entra trusts the service connection {where.name!r}.
   A federated credential of the application that the connection names. A connection made since the end of 2025 has the
   issuer https://login.microsoftonline.com/<tenant id>/v2.0 and a subject that begins with /eid1/c/pub/t/ and can't be
   derived from names. Both are on its page under Project settings > Service connections, and printed by:
     az devops service-endpoint list --org {organization} --project {shlex.quote(where.project)} --query {query}
   An older one, which Microsoft supports until 1 July 2027:
     issuer    {connection.issuer}
     audience  {connection.audience}
     subject   {connection.subject}
   The owner of the application in Entra creates it, with the issuer and the subject that the connection shows:
     {connection.entra_command("azure-pipelines")}
   The application must also be a service principal of the workspace (Settings > Identity and access).

{unknown}{_OPEN}"""


def as_json(where: Place) -> dict[str, Any]:
    """Return the same for programs."""
    pipeline, connection = where.of_the_pipeline, where.of_the_connection
    return {
        "azure-devops-oidc": {**asdict(pipeline), "command": pipeline.databricks_command()},
        "azure-cli": {**asdict(connection), "command": connection.entra_command("azure-pipelines")},
        "not verified": _OPEN.replace("\n", " "),
    }


def explain_this_job(trust: Trust) -> str:
    """Return the instructions for the policy that accepts this job's token."""
    host = urlsplit(trust.issuer).hostname
    return (
        f"this job's identity token, given out by {host}, needs the federation policy issuer {trust.issuer}, audience "
        f"{trust.audience}, subject {trust.subject}; an account administrator creates it with "
        f"{trust.databricks_command()}"
    )


def _claims(token: str) -> Trust:
    """Return the claims of a signed token, unchecked: Databricks checks it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        audience = claims["aud"]
        return Trust(
            str(claims["iss"]), str(audience[0] if isinstance(audience, list) else audience), str(claims["sub"])
        )
    except (IndexError, ValueError, KeyError) as error:
        raise WorkshopError("Azure DevOps has not given this job an identity token: run it again.") from error
