"""A proxy in front of an HTTP server on which one chosen request fails."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import copyfileobj
from typing import Any, Literal
from urllib.parse import urlsplit

How = Literal["500", "lost answer", "hang"]
"""The fault: an answer 500 to a request that never reaches the server; an answer lost after the server has carried out
the request; silence until the test heals the proxy or the client gives up."""

_ONE_HOP_ONLY = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_SECONDS_TO_ANSWER = 60


class FaultyProxy:
    """A reverse proxy in front of one server; `faulty_proxy` opens it and closes it again."""

    def __init__(self, server_uri: str, counted: str) -> None:
        self.counted = counted
        """Prefix of the counted paths; other requests never fail."""
        self.calls: list[str] = []
        """The counted requests as `METHOD /path`, in the order of arrival, including the failed one."""
        self.struck = threading.Event()
        """Set as soon as the chosen request fails; a hanging one still hangs then."""
        self.target = urlsplit(server_uri).netloc
        self._lock = threading.Lock()
        self._fault: tuple[int, How] | None = None
        self._open: set[socket.socket] = set()
        self._hanging: set[socket.socket] = set()
        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def uri(self) -> str:
        """The address for clients, instead of the server's."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, at: int, how: How) -> None:
        """Let the request number `at` from now on fail; the next one is 1."""
        with self._lock:
            self.struck.clear()
            self._fault = (len(self.calls) + at, how)

    def heal(self) -> None:
        """Let no further request fail; a hanging one ends without an answer."""
        with self._lock:
            self._fault = None
            _hang_up(self._hanging)

    def close(self) -> None:
        """Close all connections, and stop serving."""
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            self._closed = True
            _hang_up(self._open)
        self._server.server_close()

    def arrived(self, call: str) -> How | None:
        """Record a request, and return its fault, if any."""
        with self._lock:
            if not call.split()[1].startswith(self.counted):
                return None
            self.calls.append(call)
            if self._fault is None or self._fault[0] != len(self.calls):
                return None
            self.struck.set()
            return self._fault[1]

    @contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        """Register a connection, which `close` ends."""
        with self._among(self._open, connection):
            yield

    def hang(self, connection: socket.socket) -> None:
        """Stay silent until either side ends the connection."""
        with self._among(self._hanging, connection), suppress(OSError):
            connection.recv(1)

    @contextmanager
    def _among(self, connections: set[socket.socket], connection: socket.socket) -> Iterator[None]:
        with self._lock:
            connections.add(connection)
            if self._closed or (connections is self._hanging and self._fault is None):
                _hang_up({connection})
        try:
            yield
        finally:
            with self._lock:
                connections.remove(connection)


@contextmanager
def faulty_proxy(server_uri: str, counted: str = "/") -> Iterator[FaultyProxy]:
    """Open a proxy in front of the server at that URI, without a fault at first.

    `proxy.fail(at=3, how="500")` fails the third request from then on. The client's reaction depends on its
    settings; MLflow's waits and tries again, unless MLFLOW_HTTP_REQUEST_MAX_RETRIES is 0.
    """
    proxy = FaultyProxy(server_uri, counted)
    try:
        yield proxy
    finally:
        proxy.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, proxy: FaultyProxy, *connection: Any) -> None:
        self.proxy = proxy
        super().__init__(*connection)

    def handle(self) -> None:
        # Either side may close the connection at any time.
        with self.proxy.connected(self.connection), suppress(OSError):
            super().handle()

    def answer(self) -> None:
        how = self.proxy.arrived(f"{self.command} {urlsplit(self.path).path}")
        body = self._body()
        if how == "hang":
            self.proxy.hang(self.connection)
            self.close_connection = True
        elif how == "500":
            self._fail()
        else:
            self._forward(body, lost=how == "lost answer")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815  # the library's

    def log_message(self, *_: Any) -> None:
        pass  # tests read `calls` instead

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self._exactly(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self._line().split(b";")[0], 16):
            chunks.append(self._exactly(size))
            self._line()
        while self._line().strip():
            pass
        return b"".join(chunks)

    def _exactly(self, size: int) -> bytes:
        """Return so many bytes of the client, or fail: half a body must not reach the server as a whole one."""
        received = self.rfile.read(size)
        if len(received) < size:
            raise ConnectionAbortedError
        return received

    def _line(self) -> bytes:
        if line := self.rfile.readline():
            return line
        raise ConnectionAbortedError

    def _fail(self) -> None:
        content = json.dumps({"error_code": "INTERNAL_ERROR", "message": "A fault that the test has set"}).encode()
        self.send_response(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _forward(self, body: bytes, lost: bool) -> None:
        upstream = http.client.HTTPConnection(self.proxy.target, timeout=_SECONDS_TO_ANSWER)
        try:
            upstream.request(self.command, self.path, body or None, dict(_for_the_next(self.headers.items())))
            answer = upstream.getresponse()
            if lost:
                answer.read()
                self.close_connection = True
            else:
                self._pass_on(answer)
        except (OSError, http.client.HTTPException):
            # The server does not answer, so neither does its proxy.
            self.close_connection = True
        finally:
            upstream.close()

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        """Hand the answer over as it comes in; one of unknown length ends with the connection."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in _for_the_next(answer.getheaders()):
            self.send_header(name, value)
        if (length := answer.getheader("Content-Length")) is not None:
            self.send_header("Content-Length", length)
        elif answer.status not in _WITHOUT_BODY:
            self.send_header("Connection", "close")
        self.end_headers()
        copyfileobj(answer, self.wfile)
        if answer.length:  # the server has died over it
            self.close_connection = True


def _for_the_next(headers: Any) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in headers if name.lower() not in _ONE_HOP_ONLY)


def _hang_up(connections: set[socket.socket]) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
