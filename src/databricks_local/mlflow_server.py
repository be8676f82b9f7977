"""An `mlflow server` in a process of its own, which keeps the experiments and models of a workspace."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class StartError(RuntimeError):
    """A server that did not start; the message is one sentence."""


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def started(command: list[str], sign: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server as a process, and enter the block once it has printed `sign`.

    Raises:
        StartError: the process ended before that; a note contains what it printed.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,  # the terminal's Ctrl-C must not end it before its clients
    )
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line)
            if sign in line:
                break
        else:
            last = next((line.strip() for line in reversed(printed) if line.strip()), "it printed nothing")
            error = StartError(f"The server did not start ({last}): see that its port is free, then start it again.")
            error.add_note(f"`{' '.join(command)}` printed:\n{''.join(printed)}")
            raise error
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def mlflow_server(
    folder: Path,
    backend: str | None = None,
    *options: str,
    hands_out_artifacts: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run an MLflow server and yield its URI.

    Args:
        folder: contains the artifacts, and the store unless `backend` names one.
        backend: the URI of a database.
        options: further options of `mlflow server`.
        hands_out_artifacts: clients get artifacts from the server; otherwise they read and write the folder.
        variables: further environment variables of the server.
    """
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
        # The output is not read after the start, and a full pipe would stop the server in the middle of an answer.
        *("--uvicorn-opts", "--no-access-log"),
        *options,
    ]
    # Uvicorn prints that the application is ready before it listens.
    with started(command, "Uvicorn running on", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **(variables or {})):
        yield f"http://127.0.0.1:{port}"
