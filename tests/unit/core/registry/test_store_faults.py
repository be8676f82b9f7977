import shutil
from pathlib import Path

import pytest
import requests
from databricks.sdk.errors.platform import InternalError, NotFound, PermissionDenied
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from databricks_local.mlflow_server import free_port
from tests.support.models import refusal
from workshop.core.errors import WorkshopError
from workshop.core.registry import mlflow_store, store_faults
from workshop.core.registry.store_address import without_credentials


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MlflowException("No such model.\nTraceback: …"), ["MLflow could not pour: No such model."]),
        (MlflowException(""), ["MLflow could not pour"]),
        (OperationalError("SELECT 1", {}, Exception("database is locked")), ["its database failed", "locked"]),
        (requests.ConnectionError("refused"), ["its server does not answer", "refused"]),
        (requests.Timeout("read timed out"), ["its server does not answer", "timed out"]),
        (PermissionError(13, "Permission denied", "some/file"), ["some/file", "WORKSHOP_HOME="]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_mlflow_raises_becomes_one_sentence(error: Exception, words: list[str]) -> None:
    with refusal(*words) as caught, mlflow_store.explained("pour"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionDenied("User does not have USE SCHEMA. Config: host=h", error_code="PERMISSION_DENIED"),
            ["let you"],
        ),
        (TimeoutError("Timed out after 0:01:00"), ["does not answer", "network"]),
        (
            NotFound("Schema 'a.b' does not exist.", error_code="SCHEMA_DOES_NOT_EXIST"),
            ["create the catalog and the schema", "model_name"],
        ),
        (InternalError("Oops", error_code="INTERNAL_ERROR"), ["Databricks answered: Oops"]),
    ],
)
def test_what_the_library_of_databricks_raises_becomes_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("could not look", *words) as caught, mlflow_store.explained("look"):
        raise error
    assert "host=" not in str(caught.value)


def test_a_file_that_is_not_there_is_explained_as_anywhere_on_databricks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("nowhere.txt", "WORKSHOP_HOME"), mlflow_store.explained("look"):
        Path("nowhere.txt").read_text()


def test_a_very_long_answer_is_cut() -> None:
    with refusal("MLflow could not pour"), mlflow_store.explained("pour"):
        raise MlflowException("wine " * 1_000)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("postgresql+pg8000://u:secretpw@127.0.0.1:1/db", ["driver", "pg8000", "install"]),
        ("mssql+pyodbc://u:secretpw@h/db", ["driver", "pyodbc", "install"]),
        ("postgresql+nothing://u:secretpw@h/db", ["driver", "install"]),
        ("postgresql://u:secretpw@h:port/db", ["not the address of a database", "port"]),
        ("foo+bar://u:secretpw@h/db", ["foo+bar", "MLFLOW_TRACKING_URI"]),
    ],
)
def test_an_address_of_a_database_that_does_not_work_is_explained(
    uri: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal(*words) as caught:
        mlflow_store.connect()
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    ["postgresql+pg8000://u:secretpw@h/db", "postgresql+nothing://u@h/db", "postgresql://u@h:port/db", "foo+bar://h"],
)
def test_a_wrong_address_of_the_registry_is_not_blamed_on_that_of_the_runs(
    uri: str, home: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    shutil.copy(fresh_store, home / "mlflow.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    with refusal("MLFLOW_REGISTRY_URI") as caught:
        mlflow_store.connect()
    assert "MLFLOW_TRACKING_URI" not in str(caught.value)
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("MLFLOW_TRACKING_URI", "use the kit's own store"),
        ("MLFLOW_REGISTRY_URI", "record models with the runs"),
    ],
)
def test_a_database_that_refuses_connections_is_tried_once(
    variable: str, advice: str, home: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(seconds: float) -> None:
        raise AssertionError(f"MLflow waits {seconds} s to try again")

    home.mkdir()
    shutil.copy(fresh_store, home / "mlflow.db")
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", never)
    monkeypatch.setenv(variable, f"postgresql+psycopg2://u:secretpw@127.0.0.1:{free_port()}/db")
    with refusal("refused", f"correct {variable}", advice) as caught:
        mlflow_store.connect()
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (requests.exceptions.ProxyError("Tunnel failed"), ["proxy", "NO_PROXY"]),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), ["not trusted", "SERVER_CERT_PATH"]),
        (requests.exceptions.SSLError("WRONG_VERSION_NUMBER"), ["No encrypted connection", "https://"]),
        (requests.ConnectionError("NameResolutionError: Failed to resolve 'h'"), ["name", "is not found"]),
        (requests.ConnectTimeout("timed out"), ["did not answer"]),
        (OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /x"), ["/x", "CA_BUNDLE"]),
    ],
)
def test_why_a_server_is_not_reached_is_named(reason: Exception, words: list[str]) -> None:
    with refusal(*words):
        raise WorkshopError(store_faults.unreachable(reason, "https://h", "start it", 10))


@given(
    user=st.text("abz019", min_size=1),
    password=st.text("abz019/@#%:?[]&=+", min_size=1).map("se".__add__),
    scheme=st.sampled_from(["http", "postgresql+psycopg2", "mysql"]),
)
def test_no_part_of_a_password_is_shown(user: str, password: str, scheme: str) -> None:
    shown = without_credentials(f"at '{scheme}://{user}:{password}@host.example:80/path?a=b', it ended")
    assert shown == f"at '{scheme}://host.example:80/path?a=b', it ended"


@pytest.mark.parametrize(
    "uri", ["sqlite:////home/ana@corp/mlflow.db", "file:///home/ana@corp", "https://h:80/x", "models:/wine@production"]
)
def test_what_has_no_password_is_shown_whole(uri: str) -> None:
    assert without_credentials(uri) == uri


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql+psycopg2"])
@pytest.mark.parametrize("sign", ["/", "@", "#", "%", ":", "?", "[", "]"])
def test_no_half_of_a_password_is_in_a_sentence(sign: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://ana:first{sign}second@127.0.0.1:{free_port()}/db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with refusal() as caught:
        mlflow_store.connect()
    assert "first" not in str(caught.value) and "second" not in str(caught.value)


@pytest.mark.parametrize("error", [WorkshopError("The glass is full."), KeyError("glass"), KeyboardInterrupt()])
def test_what_is_not_mlflows_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, mlflow_store.explained("pour"):
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens() -> None:
    with mlflow_store.explained("pour"):
        poured = True
    assert poured
