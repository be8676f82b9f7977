"""Reasons why an MLflow store does not open: its server, its database's driver and address, its schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError
from workshop.core.registry import store_schema
from workshop.core.registry.store_address import without_credentials

_DATABASE_SERVERS = {"postgresql", "mysql", "mssql"}


def require_database(variable: str, uri: str) -> None:
    """Connect once to a database server; MLflow itself tries ten times, for 100 s.

    Args:
        variable: the environment variable that contains the URI.
        uri: its value; other stores are not checked.

    Raises:
        WorkshopError: the address is not that of a database, its driver is not installed, or MLflow would migrate it.
        sqlalchemy.exc.SQLAlchemyError: the database refuses the connection.
    """
    if uri.partition(":")[0].partition("+")[0] not in _DATABASE_SERVERS:
        return
    from mlflow.store.db.utils import create_sqlalchemy_engine  # noqa: PLC0415  # only a database needs it

    with database_explained(variable, uri):
        if "@" in (make_url(uri).host or ""):  # the driver's message would show half of the password
            raise WorkshopError(f"The password in {variable} has an @, which ends it: write %40 instead.")
        engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
        try:
            engine.connect().close()
            if (revision := store_schema.migrated_from(engine)) is not None:
                raise WorkshopError(store_schema.of_another_mlflow(uri, revision))
        finally:
            engine.dispose()


@contextmanager
def database_explained(variable: str, uri: str) -> Iterator[None]:
    """Explain a missing driver, a wrong address and the schema of another MLflow version in one sentence."""
    shown = without_credentials(uri)
    try:
        yield
    except (ImportError, NoSuchModuleError) as error:
        raise WorkshopError(
            f"The database driver for {shown} is not installed ({first_sentence(error)}): install it into this "
            f"environment with pip, or name an installed driver in {variable}, as in postgresql+psycopg2://."
        ) from error
    except (ArgumentError, ValueError) as error:
        raise WorkshopError(
            f"{variable} is not the address of a database ({shown}): correct it, for example the port."
        ) from error
    except MlflowException as error:
        if revision := store_schema.refused_revision(error):
            raise WorkshopError(store_schema.of_another_mlflow(uri, revision)) from error
        raise


def require_server_address(variable: str, uri: str) -> None:
    """Check that a URI can be parsed; the messages of HTTP libraries would show half of a password.

    Raises:
        WorkshopError: it can't.
    """
    try:
        _ = urlsplit(uri).port
    except ValueError as error:
        raise WorkshopError(
            f"{variable} is not the address of a server ({without_credentials(uri)}): correct the port, and write /, "
            "? and # in a password as %2F, %3F and %23."
        ) from error


def unreachable(reason: BaseException, shown: str, advice: str, seconds: float) -> str:
    """Return the sentence for an MLflow server that can't be reached: the cause, and what to do."""
    message, server = str(reason), f"the MLflow server at {shown}"
    quoted = without_credentials(first_sentence(reason))
    no_answer = f"The MLflow server at {shown} did not answer within {seconds} seconds: {advice}."
    causes = [
        (
            isinstance(reason, requests.exceptions.ProxyError),
            f"The proxy on the way to {server} fails: correct HTTPS_PROXY and HTTP_PROXY, or add the server's name to "
            "NO_PROXY.",
        ),
        (
            "CERTIFICATE_VERIFY_FAILED" in message,
            f"The certificate of {server} is not trusted: set MLFLOW_TRACKING_SERVER_CERT_PATH to the file with the "
            "certificate of the authority that issued it.",
        ),
        (
            isinstance(reason, requests.exceptions.SSLError),
            f"No encrypted connection to {server} is possible ({quoted}): correct the https:// in MLFLOW_TRACKING_URI, "
            "or set MLFLOW_TRACKING_CLIENT_CERT_PATH if the server asks for a certificate.",
        ),
        (isinstance(reason, requests.Timeout) or "timed out" in message, no_answer),
        (
            "NameResolutionError" in message or "Failed to resolve" in message,
            f"The name of {server} is not found: correct MLFLOW_TRACKING_URI, or the network.",
        ),
        (isinstance(reason, requests.ConnectionError), f"No MLflow server found at {shown}: {advice}."),
        (
            "certificate" in message,  # requests: a file of certificates that is missing
            f"No connection to {server} is possible ({quoted}): correct MLFLOW_TRACKING_SERVER_CERT_PATH, "
            "MLFLOW_TRACKING_CLIENT_CERT_PATH or REQUESTS_CA_BUNDLE.",
        ),
    ]
    return next((text for holds, text in causes if holds), f"No connection to {server} ({quoted}): {advice}.")
