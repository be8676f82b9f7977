"""Errors of the SDK, the network and the service as one sentence, and text without secrets."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from databricks.sdk.config import Config
from databricks.sdk.errors import platform
from databricks.sdk.errors.base import DatabricksError

from kit_common.sanitize import first_sentence, printable, without_tokens
from workshop.core.errors import WorkshopError, explain_os_error

_SECRET_VARIABLES = (
    "SYSTEM_ACCESSTOKEN",
    "DATABRICKS_OIDC_TOKEN",
    *(attribute.env for attribute in Config.attributes() if attribute.sensitive and attribute.env),
)
_SETTINGS_OF_THE_SDK = re.compile(r"\.? ?\b(Config: |Env: [A-Z]).*", re.DOTALL)
_REQUEST_LOG_OF_THE_SDK = re.compile(r"\.? ?This is likely a bug in the Databricks SDK.*", re.DOTALL)
_OF_ANOTHER_SHAPE = (KeyError, IndexError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError)
"""Errors of the SDK for an answer that is not JSON, not an object, or without a field."""
_SENTENCES = {
    (platform.Unauthenticated,): "Databricks could not {doing}, it does not accept the credentials (any more): "
    "{message}; sign in again, `workshop doctor` prints how.",
    (platform.PermissionDenied,): "Databricks does not let you {doing}: {message}; ask an administrator of the "
    "workspace for the right, `workshop doctor` lists which are missing.",
    (platform.NotFound,): "Databricks could not {doing}, it does not find this: {message}; correct the name, or ask "
    "for access.",
    (platform.TooManyRequests,): "Databricks could not {doing}, too many requests reach it (429): {message}; run it "
    "again later.",
    (platform.InternalError, platform.TemporarilyUnavailable, platform.DeadlineExceeded): "Databricks could not "
    "{doing}, the service itself has failed: {message}; run it again in some minutes.",
}
_SHORTEST_SECRET = 6
_known_secrets: set[str] = set()


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an error of the SDK, the network or the operating system into a WorkshopError of one sentence.

    Args:
        doing: the failed step, as in `submit the run`.

    Raises:
        WorkshopError: instead of an error of the SDK or of requests, a ValueError of the SDK's settings, an OSError,
            or an error of the SDK about an answer that is not the service's.
    """
    try:
        yield
    except DatabricksError as error:
        raise WorkshopError(_of_the_service(error, doing)) from error
    except TimeoutError as error:
        raise WorkshopError(_given_up(error, doing)) from error
    except requests.RequestException as error:
        raise WorkshopError(of_the_network(error, doing)) from error
    except OSError as error:
        if error.errno is None:  # an error of the Azure CLI or the Databricks CLI
            raise WorkshopError(_refused(error, doing)) from error
        raise explain_os_error(error) from error
    except _OF_ANOTHER_SHAPE as error:
        raise WorkshopError(
            f"Databricks could not {doing}, the answer is not one of Databricks: correct DATABRICKS_HOST, or "
            "run it again."
        ) from error
    except (ValueError, NotImplementedError) as error:
        raise WorkshopError(_refused(error, doing)) from error


def keep_secret(values: Iterable[str]) -> None:
    """Hide these values, such as those of a profile, in all messages of this process."""
    _known_secrets.update(value for value in values if len(value) >= _SHORTEST_SECRET)


def without_secrets(text: str) -> str:
    """Return the text without tokens, client secrets and the settings that the SDK appends."""
    text = without_tokens(_SETTINGS_OF_THE_SDK.sub("", text))
    named = {os.environ.get(name, "") for name in _SECRET_VARIABLES}
    for secret in sorted(_known_secrets | named, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def harmless(text: str) -> str:
    """Return foreign text without secrets and without control characters."""
    # Before, since a secret may contain control characters; and after, since they may split one.
    return without_secrets(printable(without_secrets(text)))


def quoted(error: BaseException) -> str:
    """Return an error's message, to be quoted in a sentence."""
    message = _REQUEST_LOG_OF_THE_SDK.sub("", harmless(re.sub(r"\s+", " ", str(error)))).strip()
    return first_sentence(Exception(message or type(error).__name__))


def of_the_network(error: requests.RequestException, doing: str) -> str:
    """Return what keeps this machine from reaching the workspace, in a sentence."""
    request = error.request
    place = urlsplit(request.url).netloc if request is not None and request.url else "the workspace"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"This machine does not trust the certificate of {place}: if it is a company proxy's, set "
            "REQUESTS_CA_BUNDLE to the file with the company's certificates."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return f"The proxy in HTTPS_PROXY does not let requests through to {place}: correct HTTPS_PROXY or NO_PROXY."
    if isinstance(error, requests.exceptions.InvalidJSONError):
        return f"Databricks could not {doing}: the answer is not from a Databricks workspace; correct DATABRICKS_HOST."
    return (
        f"Databricks could not {doing}, {place} does not answer: correct DATABRICKS_HOST, "
        "or check this machine's network and proxy."
    )


def last_attempt(error: BaseException) -> BaseException:
    """Return the error of the last attempt, from the time-outs of the SDK's retries and the kit's own."""
    while isinstance(error, TimeoutError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _given_up(error: TimeoutError, doing: str) -> str:
    """Return why the last of the SDK's retries failed, in a sentence."""
    last = last_attempt(error)
    if isinstance(last, platform.TooManyRequests):
        return (
            f"Databricks could not {doing}, it defers each call (429): too many requests reach this workspace; run it "
            "again later."
        )
    if isinstance(last, DatabricksError):
        return _of_the_service(last, doing)
    if isinstance(last, requests.RequestException):
        return of_the_network(last, doing)
    return f"Databricks could not {doing}, it took too long: run it again."


def _of_the_service(error: DatabricksError, doing: str) -> str:
    for kinds, sentence in _SENTENCES.items():
        if isinstance(error, kinds):
            return sentence.format(doing=doing, message=quoted(error))
    return _refused(error, doing)


def _refused(error: Exception, doing: str) -> str:
    return f"Databricks could not {doing}: {quoted(error)}; correct what it names, and run it again."
