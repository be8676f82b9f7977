"""Real `mlflow server` processes for tests."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


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
        assert process.poll() is None, "".join(said)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """An MLflow server with a store and artifacts of its own in `folder`; gives its URI."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        *("--artifacts-destination", (folder / "artifacts").as_uri()),
    ]
    with started(command, "Application startup complete", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):
        yield f"http://127.0.0.1:{port}"
