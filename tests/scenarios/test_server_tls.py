"""An MLflow server behind TLS with a self-signed certificate."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import workshop, workshop_here
from tests.support.servers import encrypted_mlflow_server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fresh_store: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(fresh_store, folder / "mlflow.db")
    with encrypted_mlflow_server(folder, f"sqlite:///{(folder / 'mlflow.db').as_posix()}") as running:
        yield running


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS"])
def test_mlflows_settings_for_certificates_work_without_warnings(server: tuple[str, Path], variable: str) -> None:
    uri, certificate = server
    value = str(certificate) if variable.endswith("PATH") else "true"
    done = workshop("status", "--json", **{"MLFLOW_TRACKING_URI": uri, variable: value})
    assert (done.code, done.err, '"production": null' in done.out) == (0, "", True), done.err


def test_an_untrusted_certificate_is_one_sentence(server: tuple[str, Path]) -> None:
    uri, _ = server
    done = workshop_here("status", MLFLOW_TRACKING_URI=uri)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert f"The certificate of the MLflow server at {uri} is not trusted: set MLFLOW_TRACKING_SERVER" in done.err


def test_a_missing_certificate_file_is_one_sentence(server: tuple[str, Path], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    done = workshop_here("status", MLFLOW_TRACKING_URI=server[0], MLFLOW_TRACKING_SERVER_CERT_PATH=missing)
    assert (done.code, done.err.count("\n")) == (1, 1), done.err
    assert missing in done.err and "correct MLFLOW_TRACKING_SERVER_CERT_PATH" in done.err
