"""The HTTP app: MLflow's scoring protocol, answered by the version that holds the slot.

Each request takes one snapshot of the follower when its headers have arrived. The schema, the prediction and the
version in the answer's headers all come from that snapshot.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.version import VERSION
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workshop.core.registry.follower import Follower, Following
from workshop.serving import bodies
from workshop.serving.answers import RefusedError, answer, bad_request, example_request
from workshop.serving.metrics import Metrics

MEBIBYTE = 2**20
MAX_BODY_BYTES = 16 * MEBIBYTE
PATHS = frozenset({"/invocations", "/ping", "/health", "/version", "/model", "/example", "/metrics"})
_SNAPSHOT = "workshop.snapshot"
_UNREAD = "workshop.unread"
_READ = ["GET", "HEAD"]
_SECONDS_TO_DRAIN = 5.0


def build(follower: Follower, max_body_bytes: int = MAX_BODY_BYTES) -> ASGIApp:
    """Return the app for a follower, which must stay open while the app is used.

    Args:
        follower: provides the model that answers.
        max_body_bytes: the largest body of a request, both compressed and decompressed; a larger one gets 413.
    """
    metrics = Metrics(follower)
    timeout: Any = MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
    seconds: int = timeout.get()
    # More threads than cores would only wait for the interpreter's lock, and delay every answer.
    threads = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="predict")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        threads.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.add_exception_handler(RefusedError, _refusal)
    app.add_exception_handler(HTTPException, _wrong_address)
    app.add_exception_handler(Exception, _failure)

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        """Predict."""
        model = request.scope[_SNAPSHOT].model
        content_type = request.headers.get("content-type", "")
        try:
            async with asyncio.timeout(seconds):
                body = await _read(request, max_body_bytes)
                encoding = bodies.encoding_of(request.headers.getlist("content-encoding"))

                def work() -> str:
                    return answer(model, bodies.decoded(body, encoding, max_body_bytes), content_type)

                answered = await asyncio.get_running_loop().run_in_executor(threads, work)
                return Response(answered, media_type="application/json")
        except TimeoutError:
            raise RefusedError(
                504, "DEADLINE_EXCEEDED", f"There was no answer within {seconds} seconds: send fewer rows at a time."
            ) from None

    @app.api_route("/ping", methods=_READ)
    @app.api_route("/health", methods=_READ)
    async def ping() -> Response:
        """Return 200: a follower always has a model."""
        return Response("\n", media_type="application/json")

    @app.api_route("/version", methods=_READ)
    async def version() -> Response:
        """Return MLflow's version."""
        return Response(VERSION, media_type="application/json")

    @app.api_route("/model", methods=_READ)
    async def model(request: Request) -> Response:
        """Return the version that answers, its input columns, and the result of the last look at the registry."""
        return JSONResponse(_description(follower, request.scope[_SNAPSHOT]))

    @app.api_route("/example", methods=_READ)
    async def example(request: Request) -> Response:
        """Return a request body for /invocations, with the input example of the version that answers."""
        return Response(example_request(request.scope[_SNAPSHOT].model), media_type="application/json")

    @app.api_route("/metrics", methods=_READ)
    async def figures() -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return _OneVersionARequest(app, follower, metrics)


class _OneVersionARequest:
    """Middleware: takes the snapshot for a request, adds its version to the headers, and counts the request."""

    def __init__(self, app: ASGIApp, follower: Follower, metrics: Metrics) -> None:
        self._app = app
        self._follower = follower
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        snapshot = self._follower.state
        status = 500
        headers = [
            (b"x-model-name", quote(self._follower.slots.model_name).encode("ascii")),
            (b"x-model-version", quote(snapshot.model.version).encode("ascii")),
        ]

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        try:
            await self._app({**scope, _SNAPSHOT: snapshot}, receive, send_with_headers)
        finally:
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.record(path, status, time.perf_counter() - started)


class _AnsweredBeforeTheEnd(JSONResponse):
    """A response to a request whose body is not read to the end.

    Closing a connection with unread data resets it, and the client would see the reset instead of the answer. So the
    whole answer is sent first, and the rest of the body is read and dropped for a while.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # Starlette's
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_TO_DRAIN):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read(request: Request, most: int) -> bytes:
    """Return the request's body; at most the allowed number of bytes is kept."""
    request.scope[_UNREAD] = True
    if int(request.headers.get("content-length", 0)) > most:
        raise bodies.too_long(most)
    body = bytearray()
    try:
        async for chunk in request.stream():
            if len(body) + len(chunk) > most:
                raise bodies.too_long(most)
            body += chunk
    except ClientDisconnect:
        raise bad_request("The connection ended before the body did: send all of it.") from None
    request.scope[_UNREAD] = False
    return bytes(body)


def _description(follower: Follower, state: Following) -> dict[str, Any]:
    inputs = state.model.inputs
    return {
        "model": follower.slots.model_name,
        "slot": follower.slot.value,
        "version": state.model.version,
        "data_version": state.model.data_version,
        "since": state.since.isoformat(timespec="seconds"),
        "looked": state.looked.isoformat(timespec="seconds"),
        "in_step": state.in_step.isoformat(timespec="seconds"),
        "problem": state.problem,
        "swaps": state.swaps,
        "failed_loads": state.failed_loads,
        "inputs": None if inputs is None else inputs.to_dict(),
    }


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    kind = _AnsweredBeforeTheEnd if request.scope.get(_UNREAD) else JSONResponse
    return kind({"error_code": error.code, "message": str(error)}, error.status)


async def _wrong_address(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = ", ".join(sorted(PATHS))
    code, sentence = {
        404: ("ENDPOINT_NOT_FOUND", f"No such address: use one of {known}."),
        405: (
            "METHOD_NOT_ALLOWED",
            "This address takes another method: POST for /invocations, GET or HEAD for the others.",
        ),
    }.get(error.status_code, ("BAD_REQUEST", f"The request can't be answered: {error.detail}."))
    return JSONResponse({"error_code": code, "message": sentence}, error.status_code, error.headers)


async def _failure(_: Request, error: Exception) -> Response:
    sentence = f"The server failed ({type(error).__name__}): report it to its administrator, whose log has the details."
    return JSONResponse({"error_code": "INTERNAL_ERROR", "message": sentence}, 500)
