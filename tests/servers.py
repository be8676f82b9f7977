"""Real `mlflow server` processes for tests."""

import configparser
import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

_SECONDS_TO_ANSWER = 10


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def patient_session() -> requests.Session:
    """A client that knocks again for some seconds when a server has been announced but does not listen yet."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(connect=8, backoff_factor=0.1)))
    return session


@contextmanager
def started(command: list[str], sign: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that serves until it is told to stop, from the moment that it prints `sign`."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if sign in line:
                break
        else:
            pytest.fail(f"`{' '.join(command)}` ended before it served:\n{''.join(said)}")
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def mlflow_server(folder: Path, backend: str | None = None, *, hands_out_artifacts: bool = True) -> Iterator[str]:
    """An MLflow server with artifacts of its own in `folder`, and its store too unless `backend` names one.

    Gives its URI. Where it does not hand out artifacts, clients read and write them in the folder themselves.
    """
    with _serving(folder, backend, hands_out_artifacts=hands_out_artifacts) as uri:
        yield uri


@dataclass(frozen=True)
class AuthenticatedServer:
    """An MLflow server that lets nobody in without a name and a password."""

    uri: str
    """Its address, without anybody's credentials."""
    admin: str
    password: str
    """The administrator's."""

    def create_user(self, name: str, password: str) -> None:
        """Let somebody in who may read what there is, and change nothing; a password has 12 characters or more."""
        answer = requests.post(
            f"{self.uri}/api/2.0/mlflow/users/create",
            json={"username": name, "password": password},
            auth=(self.admin, self.password),
            timeout=_SECONDS_TO_ANSWER,
        )
        assert answer.status_code == 200, answer.text


@contextmanager
def authenticated_mlflow_server(folder: Path, backend: str | None = None) -> Iterator[AuthenticatedServer]:
    """As `mlflow_server`, but it asks who you are, with MLflow's own basic authentication."""
    folder.mkdir(parents=True, exist_ok=True)
    admin, password = "admin", "a-password-for-tests"
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{(folder / 'users.db').as_posix()}",
        "admin_username": admin,
        "admin_password": password,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    with (folder / "auth.ini").open("w", encoding="utf-8") as file:
        config.write(file)
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests"}
    with _serving(folder, backend, "--app-name", "basic-auth", variables=variables) as uri:
        yield AuthenticatedServer(uri, admin, password)


@contextmanager
def encrypted_mlflow_server(folder: Path, backend: str) -> Iterator[tuple[str, Path]]:
    """As `mlflow_server`, but behind TLS; gives its URI, and the certificate that it has issued to itself."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = _make_certificate(folder)
    tls = f"--no-access-log --ssl-certfile {certificate} --ssl-keyfile {certificate}"
    with _serving(folder, backend, "--uvicorn-opts", tls) as uri:
        yield uri.replace("http:", "https:"), certificate


def _make_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that no authority has signed, and its key, into one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, *plain))
    return file


@contextmanager
def _serving(
    folder: Path,
    backend: str | None,
    *options: str,
    hands_out_artifacts: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", backend or f"sqlite:///{(folder / 'server.db').as_posix()}"),
        *(
            ("--artifacts-destination", (folder / "artifacts").as_uri())
            if hands_out_artifacts
            else ("--no-serve-artifacts", "--default-artifact-root", (folder / "artifacts").as_uri())
        ),
        # Nobody reads on once it has started, and a full pipe would stop it in the middle of an answer.
        *("--uvicorn-opts", "--no-access-log"),
        *options,
    ]
    # Uvicorn says that the application is ready before it listens.
    with started(command, "Uvicorn running on", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **(variables or {})):
        yield f"http://127.0.0.1:{port}"
