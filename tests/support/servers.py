"""Real `mlflow server` processes for tests."""

import configparser
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from databricks_local.mlflow_server import mlflow_server

_SECONDS_TO_ANSWER = 10


def patient_session() -> requests.Session:
    """Return a client that repeats refused connections for up to two minutes, until the server listens."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(600, backoff_factor=0.1, backoff_max=0.2)))
    return session


@dataclass(frozen=True)
class AuthenticatedServer:
    """An MLflow server that requires a name and a password."""

    uri: str
    """The address, without credentials."""
    admin: str
    password: str
    """The administrator's."""

    def create_user(self, name: str, password: str) -> None:
        """Create a user who may only read; a password has 12 characters or more."""
        answer = requests.post(
            f"{self.uri}/api/2.0/mlflow/users/create",
            json={"username": name, "password": password},
            auth=(self.admin, self.password),
            timeout=_SECONDS_TO_ANSWER,
        )
        assert answer.status_code == 200, answer.text


@contextmanager
def authenticated_mlflow_server(folder: Path, backend: str | None = None) -> Iterator[AuthenticatedServer]:
    """Run an `mlflow_server` with MLflow's own basic authentication."""
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
    with mlflow_server(folder, backend, "--app-name", "basic-auth", variables=variables) as uri:
        yield AuthenticatedServer(uri, admin, password)


@contextmanager
def encrypted_mlflow_server(folder: Path, backend: str) -> Iterator[tuple[str, Path]]:
    """Run an `mlflow_server` behind TLS, and give its URI and its self-signed certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = _make_certificate(folder)
    tls = f"--no-access-log --ssl-certfile {certificate} --ssl-keyfile {certificate}"
    with mlflow_server(folder, backend, "--uvicorn-opts", tls) as uri:
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
