"""The `mlflow server` behind the workspace's registries, as a client of it."""

import json
import threading
from typing import Any
from urllib.parse import urlencode

import requests

from databricks_local.answers import Answer, Refused

Body = dict[str, Any]
MLFLOW = "/api/2.0/mlflow/"
_SECONDS_TO_ANSWER = 60


class MlflowBackend:
    """Sends requests to the server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._local = threading.local()

    def call(self, method: str, name: str, given: Body) -> Body:
        """Return the content of the answer to a call of MLflow's REST API.

        Raises:
            Refused: the server refused the call.
        """
        address, body = f"{MLFLOW}{name}", b""
        if method == "GET":
            address += f"?{urlencode(given)}"
        else:
            body = json.dumps(given).encode()
        answer = self.forward(method, address, body, "application/json")
        content: Body = json.loads(answer.body or b"{}")
        if answer.status != 200:
            raise Refused(answer.status, content.get("error_code", "INTERNAL_ERROR"), content.get("message", ""))
        return content

    def forward(self, method: str, target: str, body: bytes, content_type: str) -> Answer:
        """Return the server's answer to a request as it is."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        response = self._local.session.request(
            method,
            f"{self._uri}{target}",
            data=body or None,
            headers={"Content-Type": content_type} if content_type else {},
            timeout=_SECONDS_TO_ANSWER,
        )
        headers = {"Content-Type": response.headers.get("Content-Type", ""), "x-databricks-org-id": "1"}
        return Answer(response.status_code, response.content, headers)
