"""The MLflow API of a workspace, and candidates in it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
from mlflow import MlflowClient
from sklearn.tree import DecisionTreeClassifier

from databricks_local.answers import Request
from databricks_local.registry import Registry
from workshop.core.data import datasets
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import log_candidate

TOKEN = "dapi-of-the-tests"
IN_UNITY_CATALOG, IN_THE_WORKSPACE = "main.wines.quality", "wine_quality"
FORBIDDEN = "main.secret.quality"
REFUSED = {
    "dapi-unknown": (403, {"error_code": "403", "message": "Invalid access token."}),
    "dapi-foreign": (401, {"error_code": 401, "message": "Credential was not sent or was of an unsupported type."}),
    "dapi-expired": (401, {"error_code": "UNAUTHENTICATED", "message": "Token is expired."}),
}
"""Tokens that the service rejects, with its answers."""


@dataclass
class Workspace:
    """The parts of the workspace that a test may change."""

    host: str
    registry: Registry
    folders: set[str]


@contextmanager
def serving(registry: Registry) -> Iterator[str]:
    """Serve the MLflow API of a workspace alone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm, wbufsize = True, 65536  # avoids 40 ms of waiting for an acknowledgement

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = 404, b"{}"
            headers: dict[str, str] = {}
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if bearer in REFUSED:
                status, content = REFUSED[bearer][0], json.dumps(REFUSED[bearer][1]).encode()
            elif answer := registry.answer(Request.read(self.command, self.path, dict(self.headers.items()), body)):
                status, headers, content = answer.status, dict(answer.headers), answer.body
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def register(client: MlflowClient, split: datasets.Split, model_name: str, *depths: int) -> list[str]:
    """Register trees of these depths, each with its own run name, as 1_2 does."""
    versions = []
    for depth in depths:
        classifier = DecisionTreeClassifier(max_depth=depth, random_state=0)
        classifier.fit(split.train[FEATURES], split.train[TARGET])
        parameters = Parameters(run_name=f"depth-{depth}", model_name=model_name)
        mlflow_store.use_experiment(client, model_name, parameters.run_name)
        with mlflow.start_run() as run:
            pass
        versions.append(log_candidate(classifier, run.info.run_id, split.train, "development@0", parameters))
    return versions
