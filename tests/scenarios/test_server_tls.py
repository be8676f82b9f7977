"""The kit and an MLflow server behind TLS whose certificate no authority has signed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import workshop
from tests.support.servers import encrypted_mlflow_server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(fresh_store, folder / "mlflow.db")
    with encrypted_mlflow_server(folder, f"sqlite:///{(folder / 'mlflow.db').as_posix()}") as running:
        yield running


def test_the_certificate_that_lets_mlflow_in_lets_the_kit_in(server: tuple[str, Path]) -> None:
    uri, certificate = server
    done = workshop("status", "--json", MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_SERVER_CERT_PATH=str(certificate))
    assert (done.code, done.err, '"production": null' in done.out) == (0, "", True), done.err


def test_tls_without_verification_lets_the_kit_in_without_a_warning_a_request(server: tuple[str, Path]) -> None:
    done = workshop("status", "--json", MLFLOW_TRACKING_URI=server[0], MLFLOW_TRACKING_INSECURE_TLS="true")
    assert (done.code, done.err, '"production": null' in done.out) == (0, "", True), done.err


def test_without_them_one_sentence_names_the_variable(server: tuple[str, Path]) -> None:
    uri, _ = server
    done = workshop("status", MLFLOW_TRACKING_URI=uri)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert f"The certificate of the MLflow server at {uri} is not trusted: set MLFLOW_TRACKING_SERVER" in done.err


def test_a_certificate_that_is_not_there_is_one_sentence(server: tuple[str, Path], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    done = workshop("status", MLFLOW_TRACKING_URI=server[0], MLFLOW_TRACKING_SERVER_CERT_PATH=missing)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert missing in done.err and "correct MLFLOW_TRACKING_SERVER_CERT_PATH" in done.err
