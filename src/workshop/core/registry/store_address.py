"""The addresses of MLflow stores that the environment names, written as MLflow expects them."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from workshop.core.errors import WorkshopError

_SQLITE = re.compile(r"sqlite(\+\w+)?:")
_SCHEME = re.compile(r"^(?:[a-z][\w+.-]*(?=:)|databricks(-uc)?$)", re.IGNORECASE)


def named(variable: str) -> str:
    """Return the value of a variable without blanks and quotes around it, as an .env file leaves them; or ""."""
    value = os.environ.get(variable, "").strip().strip("\"'").strip()
    return _SCHEME.sub(lambda scheme: scheme[0].lower(), value)


def is_sqlite(uri: str) -> bool:
    """Return whether a URI is that of an SQLite file."""
    return _SQLITE.match(uri) is not None


def sqlite_file(uri: str) -> Path:
    """Return the file of an SQLite store; SQLite allows a URI as its path."""
    database = str(make_url(uri).database)
    return Path(urlsplit(database).path if database.startswith("file:") else database)


def absolute_uri(variable: str, uri: str) -> str:
    """Return the URI of a store, with an absolute path if it is an SQLite file.

    A run's kernels have another current folder, in which a relative path would name another file.

    Args:
        variable: the environment variable that contains the URI.
        uri: its value.

    Raises:
        WorkshopError: the store is in memory, so no other process could read it, or the address is incomplete.
    """
    _require_scheme(variable, uri)
    if not is_sqlite(uri):
        return uri
    try:
        parsed = make_url(uri)
    except ArgumentError as error:
        raise WorkshopError(
            f"{variable} is {uri!r}, which is not the address of an SQLite file: write sqlite:///PATH."
        ) from error
    if parsed.host:
        raise WorkshopError(
            f"{variable} is {uri!r}, in which no path follows sqlite://: write three slashes for a relative path, "
            "sqlite:///PATH, and four for an absolute one."
        )
    if not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory":
        raise WorkshopError(
            f"{variable} is {uri!r}, a store in memory, which ends with the process: name a file, sqlite:///PATH."
        )
    if str(parsed.database).startswith("file:"):
        return uri
    path = Path(str(parsed.database)).expanduser().absolute()
    return parsed.set(database=path.as_posix()).render_as_string(hide_password=False)


def _require_scheme(variable: str, uri: str) -> None:
    """Check that an address with a port has a scheme; without one MLflow reads it as a folder.

    Raises:
        WorkshopError: the scheme is missing.
    """
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        raise WorkshopError(f"{variable} is {uri!r}, which has no protocol: write http://{uri} or https://{uri}.")


def without_credentials(uri: str) -> str:
    """Return a URI, or a sentence with URIs, without user names and passwords, whatever characters a password has.

    The path of a file, after `:///`, may contain an @ too and stays.
    """
    return re.sub(r"(?<=://)(?!/)\S*@", "", uri)
