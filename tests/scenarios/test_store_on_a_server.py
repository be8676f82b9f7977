"""Servers that are down, silent, or no MLflow server: each is one sentence."""

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.models import refusal
from workshop.core.errors import WorkshopError
from workshop.core.registry import mlflow_store


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ThreadingHTTPServer):
    """A server that answers health checks with status `health`, and the rest with `otherwise`; None is silence."""

    daemon_threads = True

    def __init__(self, health: int | None = 200, otherwise: int | None = 500) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.health, self.otherwise = health, otherwise
        self.paths: list[str] = []
        self.closing = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        status = self.server.health if self.path == "/health" else self.server.otherwise
        if status is None:
            self.server.closing.wait()
            return
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>\n<h1>Welcome</h1>\n</html>")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server of MLFLOW_TRACKING_URI."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


@pytest.mark.integration
def test_a_server_that_is_down_is_named(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal(f"No MLflow server found at {uri}", "start it", "unset MLFLOW_TRACKING_URI"):
        mlflow_store.connect()


@pytest.mark.integration
@pytest.mark.parametrize(("health", "words"), [(None, "did not answer within 0.2 s"), (500, "error 500")])
def test_a_server_that_fails_its_health_check_is_named(
    server: Server, health: int | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_store, "_SECONDS_TO_ANSWER", 0.2 if health is None else 10)
    server.health = health
    with refusal(server.uri, words, "unset MLFLOW_TRACKING_URI"):
        mlflow_store.connect()
    assert server.paths == ["/health"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (200, ["could not open its store"]),
        (401, ["does not accept your credentials", "MLFLOW_TRACKING_USERNAME"]),
        (403, ["does not let you", "ask its administrator"]),
        (404, ["too old", "update MLflow"]),
        (500, ["could not open its store"]),
        (None, ["could not open its store"]),
    ],
)
def test_a_server_without_mlflows_api_is_explained(
    server: Server, status: int | None, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    server.otherwise = status
    with refusal(*words):
        mlflow_store.connect()
    assert len(server.paths) > 1


@pytest.mark.integration
def test_a_gateway_without_a_health_page_may_be_an_mlflow_server(server: Server) -> None:
    server.health = 404
    with refusal("MLflow could not open its store"):
        mlflow_store.connect()
    assert any("experiments" in path for path in server.paths)


@pytest.mark.integration
def test_the_time_out_is_short_and_the_users_own_is_kept(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with pytest.raises(WorkshopError):
        mlflow_store.connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) < 7


def test_a_password_in_the_servers_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2@127.0.0.1:9")
    with refusal("No MLflow server found at http://127.0.0.1:9") as caught:
        mlflow_store.connect()
    assert "hunter2" not in str(caught.value)
