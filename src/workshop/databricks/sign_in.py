"""Sign-in to a workspace by the SDK's unified authentication, with errors that name the remedy."""

import configparser
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.credentials_provider import CredentialsStrategy, DefaultCredentials
from databricks.sdk.errors.base import DatabricksError

from workshop.core.errors import WorkshopError
from workshop.databricks import credentials
from workshop.databricks.errors import explained, keep_secret, of_the_network, quoted
from workshop.databricks.retries import LOST, PatientClock

_SECONDS_TO_ANSWER = 20
_SECONDS_PER_CALL = 60  # the SDK's own choice
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Identity:
    """The user or service principal that is signed in."""

    name: str
    application_id: str
    """A service principal's; empty for a person."""
    is_service_principal: bool
    email: str | None = None
    groups: tuple[str, ...] = ()
    """The groups whose rights it has as well, by their display names."""

    @property
    def principal(self) -> str:
        """The name in grants: the application id of a service principal, the e-mail address of a person."""
        return self.application_id or self.email or self.name


def sign_in(*, retry_seconds: int = 300, say: Callable[[str], None] | None = None) -> WorkspaceClient:
    """Sign in with the credentials that the SDK finds in the environment or a profile, and check them.

    Args:
        retry_seconds: time for retries of the client's later calls; a workspace that does not answer at all is
            reported after 20 to 40 seconds.
        say: prints that the sign-in begins, since it can take that long.

    Raises:
        WorkshopError: no host or no credentials, or they are not accepted; with the remedy.
    """
    if logging.getLogger("databricks.sdk").level == logging.NOTSET:
        logging.getLogger("databricks.sdk").setLevel(logging.ERROR)  # its warnings repeat the errors
    host = os.environ.get("DATABRICKS_HOST", "")
    check_host(host)
    if say is not None:
        say(f"Signing in to {host or 'Databricks'}.")
    chain = _Chain()
    try:
        with explained("sign in"):
            return _connect(chain, retry_seconds)
    except configparser.Error:
        place = os.environ.get("DATABRICKS_CONFIG_FILE", "~/.databrickscfg")
        # The error quotes the line, and there may be a token in it.
        raise WorkshopError(f"The profiles in {place} can't be read: correct that file, or remove it.") from None


def who(client: WorkspaceClient) -> Identity:
    """Return the user or service principal that is signed in."""
    with explained("look up the signed-in user"):
        me = client.current_user.me()
    if not me.user_name:
        raise WorkshopError(
            "The workspace does not return the signed-in user: correct DATABRICKS_HOST, or sign in again."
        )
    user_name = me.user_name
    application_id = user_name if _is_application_id(user_name) else ""
    return Identity(
        name=me.display_name or user_name,
        application_id=application_id,
        is_service_principal=bool(application_id),
        email=None if application_id else user_name,
        groups=tuple(group.display for group in me.groups or [] if group.display),
    )


def require_service_principal(identity: Identity) -> str:
    """Refuse a person in a pipeline, whose runs must not depend on one employee.

    Returns:
        A note for a person at a terminal; nothing for a service principal.

    Raises:
        WorkshopError: a person is signed in, and this is a job of Azure Pipelines.
    """
    if identity.is_service_principal:
        return ""
    if os.environ.get("TF_BUILD"):
        raise WorkshopError(
            f"{identity.name} is a person, and a pipeline signs in as a service principal: create one, add it to the "
            f"workspace, and let the pipeline sign in as it; {credentials.ASK_THE_DOCTOR}."
        )
    return f"{identity.name} is a person: that is fine at a terminal, but a pipeline needs a service principal"


def check_host(host: str) -> None:
    """Refuse an address that is not a host, and plain http except to this machine."""
    if "@" in host:
        raise WorkshopError("DATABRICKS_HOST has a user name or a password in it: set it to the https address alone.")
    if found := re.match(r"([^?#]*?)/*[?#]", host):
        raise WorkshopError(f"DATABRICKS_HOST is {host}, with more than the host: set {found[1]}.")
    if host.startswith("http://") and urlsplit(host).hostname not in _THIS_MACHINE:
        secure = f"https://{host.removeprefix('http://')}"
        raise WorkshopError(f"DATABRICKS_HOST is {host}, and credentials would go there in clear text: set {secure}.")


class _Chain(DefaultCredentials, CredentialsStrategy):
    """The SDK's own chain of credentials, with a check of the host before any of them is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.config: Config | None = None

    def __call__(self, cfg: Config) -> Callable[[], dict[str, str]]:
        """See `DefaultCredentials`."""
        self.config = cfg
        keep_secret(str(value) for name, value in cfg.as_dict().items() if name in _sensitive() and value)
        if not cfg.host and not cfg.azure_workspace_resource_id:
            raise WorkshopError(credentials.no_host(cfg))
        check_host(cfg.host or "")
        if cfg.host and not cfg.discovery_url:  # the SDK has asked the host where to sign in, and got no answer
            _require_answer(cfg.host)
        return super().__call__(cfg)


def _connect(chain: _Chain, retry_seconds: int) -> WorkspaceClient:
    """Read the configuration and make the first call, which fetches the token and has the workspace check it."""
    clock = PatientClock(min(retry_seconds, _SECONDS_TO_ANSWER))
    try:
        config = Config(
            credentials_strategy=chain,
            clock=clock,
            retry_timeout_seconds=int(clock.longest),
            http_timeout_seconds=_SECONDS_TO_ANSWER,
            product="workshop",
            product_version=version("workshop"),
        )
        # The workspace has answered, so longer retries are worth it from here on.
        config.retry_timeout_seconds = retry_seconds
        clock.longest = retry_seconds
        config.http_timeout_seconds = _SECONDS_PER_CALL
        client = WorkspaceClient(config=config)
        client.current_user.me()
        return client
    except (requests.RequestException, *LOST):
        raise
    except DatabricksError as error:
        assert chain.config is not None, "no call is made before the chain has been called"
        raise WorkshopError(credentials.not_accepted(error, chain.config)) from error
    except ValueError as error:
        raise WorkshopError(credentials.not_found(quoted(error), chain.config)) from error


def _require_answer(host: str) -> None:
    try:
        answer = requests.get(f"{host}/.well-known/databricks-config", timeout=_SECONDS_TO_ANSWER)
    except requests.exceptions.InvalidURL as error:
        raise WorkshopError(
            f"DATABRICKS_HOST is {host}, which is not an address: set it to the workspace's https://…."
        ) from error
    except requests.RequestException as error:
        raise WorkshopError(of_the_network(error, "sign in")) from error
    if answer.status_code >= requests.codes.server_error:
        raise WorkshopError(f"{host} answers with error {answer.status_code}: the service has failed; try again later.")


def _sensitive() -> set[str]:
    return {attribute.name for attribute in Config.attributes() if attribute.sensitive}


def _is_application_id(user_name: str) -> bool:
    """Return whether a user name is an application id, as a service principal's is."""
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", user_name) is not None
