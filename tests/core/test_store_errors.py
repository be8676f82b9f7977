from pathlib import Path

import pytest
import requests
from databricks.sdk.errors.platform import InternalError, NotFound, PermissionDenied
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from tests.core.helpers import refusal
from workshop.core import store
from workshop.core.errors import WorkshopError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MlflowException("No such model.\nTraceback: …"), ["MLflow could not pour: No such model."]),
        (MlflowException(""), ["MLflow could not pour"]),
        (OperationalError("SELECT 1", {}, Exception("database is locked")), ["its database says", "locked"]),
        (requests.ConnectionError("refused"), ["its server does not answer", "refused"]),
        (requests.Timeout("read timed out"), ["its server does not answer", "timed out"]),
        (PermissionError(13, "Permission denied", "some/file"), ["some/file", "WORKSHOP_HOME="]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_mlflow_raises_becomes_one_sentence(error: Exception, words: list[str]) -> None:
    with refusal(*words) as caught, store.explained("pour"):
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
        (NotFound("Schema 'a.b' does not exist.", error_code="SCHEMA_DOES_NOT_EXIST"), ["schema made", "model_name"]),
        (InternalError("Oops", error_code="INTERNAL_ERROR"), ["Databricks says: Oops"]),
    ],
)
def test_what_the_library_of_databricks_raises_becomes_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("could not look", *words) as caught, store.explained("look"):
        raise error
    assert "host=" not in str(caught.value)


def test_a_file_that_is_not_there_is_explained_as_anywhere_on_databricks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("nowhere.txt", "WORKSHOP_HOME"), store.explained("look"):
        Path("nowhere.txt").read_text()


def test_a_very_long_answer_is_cut() -> None:
    with refusal("MLflow could not pour"), store.explained("pour"):
        raise MlflowException("wine " * 1_000)


@pytest.mark.parametrize("error", [WorkshopError("The glass is full."), KeyError("glass"), KeyboardInterrupt()])
def test_what_is_not_mlflows_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, store.explained("pour"):
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens() -> None:
    with store.explained("pour"):
        poured = True
    assert poured
