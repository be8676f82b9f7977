"""The server process of `workshop serve`."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from kit_common.listening import in_url, listen
from workshop.core.registry import mlflow_store
from workshop.core.registry.follower import Follower, Following
from workshop.core.registry.slots import Slot, Slots, open_slots
from workshop.serving.app import MAX_BODY_BYTES, build

_SECONDS_TO_FINISH = 30


class ReportingFollower(Follower):
    """A follower that reports each swap in one line."""

    def __init__(self, slots: Slots, slot: Slot, every: float, report: Callable[[str], None]) -> None:
        super().__init__(slots, slot, every)
        self._report = report

    @override
    def look(self) -> Following:
        before = self.model.version
        state = super().look()
        if state.model.version != before:
            self._report(f"{self} answers now, in place of version {before}")
        return state

    def __str__(self) -> str:
        return f"{self.slots.model_name} version {self.model.version} ({self.slot})"


def serve_slot(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    model_name: str, slot: Slot, host: str, port: int, every: float, max_body_bytes: int, report: Callable[[str], None]
) -> None:
    """Connect to the registry, load the version in the slot, and serve and follow the slot until a signal arrives.

    Raises:
        WorkshopError: the registry does not answer, no version in the slot can be loaded, or the port is taken.
    """
    # As in MLflow's own server: a model with type hints then accepts times and bytes in their JSON form.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    # Python's warning filters belong to the whole process, and parallel predictions mix them up: warnings meant for
    # training would appear at random in this server's log.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    slots = open_slots(mlflow_store.connect(), model_name)
    with ReportingFollower(slots, slot, every, report) as follower:
        serve(follower, host, port, max_body_bytes, lambda url: report(f"{follower} answers on {url} (Ctrl-C ends it)"))


def serve(
    follower: Follower,
    host: str = "127.0.0.1",
    port: int = 8080,
    max_body_bytes: int = MAX_BODY_BYTES,
    announce: Callable[[str], None] = print,
) -> None:
    """Answer HTTP requests in this process until SIGTERM or SIGINT; started requests are answered first.

    Args:
        follower: provides the model that answers.
        host: the address to listen at; with the default, only this machine can connect.
        port: the port; 0 for any free port.
        max_body_bytes: the largest body of a request.
        announce: called with the server's URL once it accepts connections.

    Raises:
        WorkshopError: the address can't be listened at.
    """
    with listen(host, port, "--port or --host") as listener:
        app = build(follower, max_body_bytes)
        # The socket listens already: a client that connects before the app is up waits some milliseconds.
        answer_on(listener, app, lambda: announce(f"http://{in_url(host)}:{listener.getsockname()[1]}"))


def answer_on(listener: socket.socket, app: ASGIApp, announce: Callable[[], None]) -> None:
    """Let an app answer on a listening socket until SIGTERM or SIGINT; started requests are answered first.

    Args:
        listener: the socket.
        app: the app.
        announce: called when requests can be sent, and a signal already ends the server.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    server = uvicorn.Server(config)
    with _ended_by_signals(server):
        announce()
        server.run(sockets=[listener])


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the server, before it runs too; uvicorn raises them again when it has shut down."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a signal handler gets both
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
