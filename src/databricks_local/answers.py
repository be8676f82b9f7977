"""Requests, answers and refusals, as the parts of the workspace exchange them with its server.

An error is an HTTP status and `{"error_code": …, "message": …}`, which is what
`databricks.sdk.errors.parser` reads (source: the SDK). A wrong credential has the status, a number, as its
`error_code`, and the header X-Databricks-Reason-Phrase (source: answers of the service that are
quoted in databricks-sdk-go issues 917 and 1061).
"""

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Principal:
    """A person or a service principal that can sign in."""

    id: str
    user_name: str
    display_name: str
    email: str | None = None

    @property
    def is_person(self) -> bool:
        """Whether this is a person rather than a service principal."""
        return self.email is not None


@dataclass(frozen=True)
class Request:
    """One parsed HTTP request."""

    method: str
    path: str
    """Without the query, decoded."""
    target: str
    """With the query, as received."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    caller: Principal | None = None
    """The owner of the credential; None on the paths that sign a caller in."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The named groups of the route's expression."""

    @classmethod
    def read(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "Request":
        """Return the request of this HTTP message."""
        parts = urllib.parse.urlsplit(target)
        return cls(
            method=method,
            path=urllib.parse.unquote(parts.path),
            target=target,
            query=dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
        )

    @property
    def who(self) -> Principal:
        """The caller, on a path that requires a credential."""
        assert self.caller is not None, f"{self.path} requires no credential, so its caller is unknown"
        return self.caller

    def json(self) -> dict[str, Any]:
        """Return the body as an object; an empty body is an empty object."""
        try:
            content = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refused(400, "MALFORMED_REQUEST", f"Could not parse request object: {error}") from error
        if not isinstance(content, dict):
            raise Refused(400, "MALFORMED_REQUEST", "Could not parse request object: it is not a JSON object")
        return content


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Refused(Exception):  # noqa: N818  # an answer of the service
    """An answer of the service that refuses the request."""

    def __init__(
        self, status: int, error_code: str | int | None, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Return the refusal as an HTTP answer."""
        return as_json({"error_code": self.error_code, "message": self.message}, self.status, self.headers)


def as_json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer with this content."""
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


def invalid(message: str) -> Refused:
    """Return the refusal of a value."""
    return Refused(400, "INVALID_PARAMETER_VALUE", message)


Handler = Callable[[Request], "Answer | dict[str, Any]"]
"""Answers the requests of one route; a dict is sent as JSON."""
Route = tuple[str, str, Handler]
"""The method, a regular expression that the whole path matches, and the handler."""
