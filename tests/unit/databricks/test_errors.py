"""Errors of the SDK as sentences, without secrets."""

import pytest
import requests
from databricks.sdk.errors import (
    BadRequest,
    InternalError,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    Unauthenticated,
)

from workshop.core.errors import WorkshopError
from workshop.databricks.errors import explained, without_secrets


def raised_from(cause: BaseException) -> TimeoutError:
    error = TimeoutError("Timed out after 0:00:01")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Unauthenticated("no"), r"could not submit the run, it does not accept the credentials .*: no; sign in again"),
        (PermissionDenied("no"), r"does not let you submit the run: no; ask an administrator"),
        (NotFound("no"), r"could not submit the run, it does not find this: no; correct the name"),
        (raised_from(TooManyRequests("no")), r"could not submit the run, it defers each call \(429\)"),
        (
            TooManyRequests("no"),
            r"could not submit the run, too many requests reach it \(429\): no; run it again later",
        ),
        (InternalError("no"), r"could not submit the run, the service itself has failed: no; run it again"),
        (raised_from(InternalError("no")), r"could not submit the run, the service itself has failed: no; run it"),
        (
            BadRequest("no. Config: host=h, token=***. Env: DATABRICKS_HOST"),
            r"could not submit the run: no; correct what it names, and run it again\.$",
        ),
        (requests.ConnectionError("no"), r"could not submit the run, the workspace does not answer: correct"),
        (raised_from(requests.Timeout("no")), r"could not submit the run, the workspace does not answer: correct"),
        (requests.exceptions.SSLError("no"), r"not trust the certificate of the workspace: .* set REQUESTS_CA_BUNDLE"),
        (requests.exceptions.ProxyError("no"), r"proxy in HTTPS_PROXY does not let requests through"),
        (requests.exceptions.JSONDecodeError("no", "", 0), r"the answer is not from a Databricks workspace"),
        (TimeoutError("no"), r"could not submit the run, it took too long: run it again"),
        (
            OSError("cannot get access token: no"),
            r"could not submit the run: cannot get access token: no; correct what it names",
        ),
        (FileNotFoundError(2, "No such file", "/a/b"), r"Cannot write or read at /a/b"),
        (ValueError("validate: no. Config: host=h"), r"could not submit the run: validate: no; correct what it names"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_by_kind(error: Exception, sentence: str) -> None:
    with pytest.raises(WorkshopError, match=sentence) as raised, explained("submit the run"):
        raise error
    assert "\n" not in str(raised.value) and "Config" not in str(raised.value)


@pytest.mark.parametrize(
    "secret",
    [
        "dapi0123456789abcdef0123456789abcdef-2",
        "dose0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjZCJ9.c2lnbmF0dXJl",
        "a-value-of-the-environment",
    ],
)
def test_secrets_are_removed_from_any_text(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "a-value-of-the-environment")
    assert without_secrets(f"got {secret}, and more") == "got ***, and more"
