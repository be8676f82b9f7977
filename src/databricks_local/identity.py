"""Principals and sign-in: tokens, OAuth, federation from Azure Pipelines, the Azure CLI.

Where the rules are from:

- No credential: 401 "Credential was not sent or was of an unsupported type for this API." (source: the service's
  answer as quoted in public threads).
- An unknown token: 403 "Invalid access token."; an expired one: 403 "JWT has expired"; both with the number 403 as
  error_code (source: answers quoted in databricks-sdk-go issues 917 and 1061). Assumed: an expired personal access
  token is answered as an unknown one; the `expired_token` here is an OAuth one.
- `/.well-known/databricks-config`, `/oidc/.well-known/oauth-authorization-server`, `/oidc/v1/token` and their fields
  (source: the SDK, `oauth.py` and `config.py`). The token endpoint's errors are `error` and `error_description`
  (source: the SDK, `oauth.retrieve_token`, and RFC 6749); their texts are assumed.
- A federation policy has issuer, audiences and subject, and all three must match; for Azure DevOps they are
  https://vstoken.dev.azure.com/ORGANIZATION_ID, api://AzureADTokenExchange and p://ORGANIZATION/PROJECT/PIPELINE
  (source: Databricks' documentation, "Enable workload identity federation for Azure DevOps Pipelines").
- The endpoint where a pipeline's job gets its own token (source: the SDK, `oidc_token_supplier.py`). Its tokens are
  signed with a secret here, where Azure DevOps signs with a key pair (our simplification).
- `/aad/auth` redirects to the tenant's login page (source: the SDK, `Config.load_azure_tenant_id`).
- `/api/2.0/preview/scim/v2/Me`: a service principal's userName is its application id (source: the REST reference).
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from databricks_local.answers import Answer, Principal, Refused, Request, Route, as_json

AUDIENCE = "api://AzureADTokenExchange"
LOGIN_APP = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
"""Azure Databricks' application id in every tenant of Entra ID."""
_TENANT = "7f1078d6-b20d-4a20-9d88-05a2f0d645a3"
_ORGANIZATION = "0ca3ddd9-f0b0-4635-a98c-5866526961b6"
_OIDC = r"/oidc/v1/token"
_JOB_TOKEN = r"/azure-devops/(?P<project>[^/]+)/_apis/distributedtask/hubs/[^/]+/plans/[^/]+/jobs/[^/]+/oidctoken"
_SIGNED_DOWNLOAD = "/api/2.0/mlflow-artifacts/signed"
"""An address that is a credential itself."""
_HOUR = 3600


@dataclass
class FederationPolicy:
    """The issuer, audiences and subject that the service principal's federation policy accepts."""

    issuer: str = f"https://vstoken.dev.azure.com/{_ORGANIZATION}"
    audiences: tuple[str, ...] = (AUDIENCE,)
    subject: str = "p://our-organization/workshop/cd"


@dataclass
class Pipeline:
    """The Azure pipeline whose job asks for a token."""

    organization_id: str = _ORGANIZATION
    organization: str = "our-organization"
    project: str = "workshop"
    name: str = "cd"


@dataclass
class Identity:
    """The principals, their credentials, and the paths that sign a caller in."""

    host: str = ""
    workspace_id: str = "8550218739037906"
    federation_policy: FederationPolicy | None = field(default_factory=FederationPolicy)
    """None for a service principal without a policy."""
    pipeline: Pipeline = field(default_factory=Pipeline)
    service_principal: Principal = field(
        default_factory=lambda: Principal("4711", "6c9f047b-87dc-4b15-99ce-2f5b0f1c9a11", "workshop-cd")
    )
    person: Principal = field(
        default_factory=lambda: Principal("4712", "ada@example.com", "Ada Lovelace", email="ada@example.com")
    )
    client_secret: str = field(default_factory=lambda: f"dose{secrets.token_hex(16)}")
    token: str = field(default_factory=lambda: f"dapi{secrets.token_hex(16)}")
    person_token: str = field(default_factory=lambda: f"dapi{secrets.token_hex(16)}")
    system_access_token: str = field(default_factory=lambda: secrets.token_hex(26))

    def __post_init__(self) -> None:
        self._key = secrets.token_bytes(32)
        now = int(time.time())
        claims = {"sub": self.service_principal.user_name, "iss": "https://example.com/oidc", "aud": self.workspace_id}
        self.expired_token = self._sign({**claims, "iat": now - 2 * _HOUR, "exp": now - _HOUR})
        self.aad_token = self._sign(
            {
                "aud": LOGIN_APP,
                "iss": f"https://sts.windows.net/{_TENANT}/",
                "appid": self.client_id,
                "exp": now + _HOUR,
            }
        )
        self._known = {
            self.token: self.service_principal,
            self.person_token: self.person,
            self.aad_token: self.service_principal,
        }

    @property
    def client_id(self) -> str:
        """The application id of the service principal."""
        return self.service_principal.user_name

    @property
    def principals(self) -> tuple[Principal, ...]:
        """All principals of the workspace."""
        return (self.service_principal, self.person)

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        return [
            ("GET", r"/\.well-known/databricks-config", self._configuration),
            ("GET", r"/oidc/\.well-known/oauth-authorization-server", self._endpoints),
            ("GET", r"/aad/auth", self._login_page),
            ("POST", _OIDC, self._issue),
            ("POST", _JOB_TOKEN, self._pipeline_token),
            ("GET", r"/api/2\.0/preview/scim/v2/Me", self._me),
        ]

    def is_open(self, path: str) -> bool:
        """Return whether the path works without a credential, as those that sign a caller in do."""
        return not path.startswith("/api/") or path == _SIGNED_DOWNLOAD

    def caller(self, headers: Mapping[str, str]) -> Principal:
        """Return the owner of the credential in these headers.

        Raises:
            Refused: the credential is missing, unknown or expired.
        """
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise _no_entry(401, "Credential was not sent or was of an unsupported type for this API.")
        if token == self.expired_token:
            raise _no_entry(403, "JWT has expired")
        if token not in self._known:
            raise _no_entry(403, "Invalid access token.")
        return self._known[token]

    def issue_token(self, principal: Principal) -> str:
        """Return a new OAuth token of this principal."""
        now = int(time.time())
        token = self._sign(
            {
                "sub": principal.user_name,
                "iss": f"{self.host}/oidc",
                "iat": now,
                "exp": now + _HOUR,
                "jti": uuid.uuid4().hex,
            }
        )
        self._known[token] = principal
        return token

    def revoke(self, token: str) -> None:
        """Revoke this token."""
        self._known.pop(token, None)

    def azure_devops_environment(self) -> dict[str, str]:
        """Return the variables that an Azure pipeline's job gives to a step that maps System.AccessToken."""
        return {
            "SYSTEM_ACCESSTOKEN": self.system_access_token,
            "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": f"{self.host}/azure-devops/",
            "SYSTEM_TEAMPROJECTID": "c1b2a3d4-0000-4000-8000-000000000001",
            "SYSTEM_PLANID": "c1b2a3d4-0000-4000-8000-000000000002",
            "SYSTEM_JOBID": "c1b2a3d4-0000-4000-8000-000000000003",
            "SYSTEM_HOSTTYPE": "build",
        }

    def _configuration(self, _: Request) -> dict[str, Any]:
        return {
            "oidc_endpoint": f"{self.host}/oidc",
            "account_id": "a1b2c3d4-0000-4000-8000-000000000009",
            "workspace_id": self.workspace_id,
            "cloud": "Azure",
        }

    def _endpoints(self, _: Request) -> dict[str, Any]:
        return {
            "issuer": f"{self.host}/oidc",
            "authorization_endpoint": f"{self.host}/oidc/v1/authorize",
            "token_endpoint": f"{self.host}/oidc/v1/token",
            "grant_types_supported": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        }

    def _login_page(self, _: Request) -> Answer:
        place = f"https://login.microsoftonline.com/{_TENANT}/oauth2/authorize?client_id={LOGIN_APP}"
        return Answer(302, b"", {"Location": place})

    def _issue(self, request: Request) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        match form.get("grant_type"):
            case "client_credentials":
                refusal = self._check_secret(request, form)
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                refusal = self._check_federation(form)
            case other:
                refusal = _no_token(400, "unsupported_grant_type", f"grant type {other} is not supported")
        if refusal is not None:
            return refusal
        token = self.issue_token(self.service_principal)
        return as_json(
            {"access_token": token, "token_type": "Bearer", "expires_in": _HOUR, "scope": form.get("scope", "all-apis")}
        )

    def _check_secret(self, request: Request, form: Mapping[str, str]) -> Answer | None:
        sent = (form.get("client_id", ""), form.get("client_secret", ""))
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
            sent = (name, secret)
        if sent != (self.client_id, self.client_secret):
            return _no_token(401, "invalid_client", "Client authentication failed")
        return None

    def _check_federation(self, form: Mapping[str, str]) -> Answer | None:
        if form.get("subject_token_type") != "urn:ietf:params:oauth:token-type:jwt":
            return _no_token(400, "invalid_request", "subject_token_type is not supported")
        claims = self._verify(form.get("subject_token", ""))
        if claims is None:
            return _no_token(400, "invalid_grant", "The subject token's signature cannot be verified")
        if claims["exp"] < time.time():
            return _no_token(400, "invalid_grant", "The subject token has expired")
        policy = self.federation_policy
        known = policy is not None and form.get("client_id") == self.client_id
        if not known or policy is None:
            return _no_token(401, "invalid_client", "No federation policy found for the service principal")
        if (claims["iss"], claims["sub"]) != (policy.issuer, policy.subject) or claims["aud"] not in policy.audiences:
            received = f"issuer {claims['iss']}, audience {claims['aud']}, subject {claims['sub']}"
            return _no_token(401, "invalid_client", f"The token matches no federation policy: {received}")
        return None

    def _pipeline_token(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.system_access_token}":
            return as_json({"message": "Access denied."}, 401)
        if "api-version" not in request.query:
            return as_json({"message": "No api-version was supplied for the POST request."}, 400)
        pipeline, now = self.pipeline, int(time.time())
        place = f"{pipeline.organization}/{pipeline.project}"
        connection = request.query.get("serviceConnectionId")
        token = self._sign(
            {
                "iss": f"https://vstoken.dev.azure.com/{pipeline.organization_id}",
                "aud": AUDIENCE,
                "sub": f"sc://{place}/{connection}" if connection else f"p://{place}/{pipeline.name}",
                "iat": now,
                "exp": now + 300,
            }
        )
        return as_json({"oidcToken": token})

    def _me(self, request: Request) -> dict[str, Any]:
        who = request.who
        return {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": who.id,
            "userName": who.user_name,
            "displayName": who.display_name,
            "active": True,
            **({"emails": [{"value": who.email, "type": "work", "primary": True}]} if who.email else {}),
        }

    def _sign(self, claims: Mapping[str, Any]) -> str:
        head = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{head}.{_encoded(hmac.digest(self._key, head.encode(), hashlib.sha256))}"

    def _verify(self, token: str) -> dict[str, Any] | None:
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_encoded(hmac.digest(self._key, head.encode(), hashlib.sha256)), signature):
            return None
        payload = head.partition(".")[2]
        return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def _no_entry(status: int, message: str) -> Refused:
    return Refused(status, status, message, {"X-Databricks-Reason-Phrase": message})


def _no_token(status: int, error: str, description: str) -> Answer:
    return as_json({"error": error, "error_description": description}, status)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
