"""The HTTP server of the workspace: routes requests to their handlers, and fails on demand.

An endpoint that does not exist is 404 ENDPOINT_NOT_FOUND (source: the service's answer, seen in public). Calls of
MLflow and of Unity Catalog's models go to the registry.
"""

import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

from databricks_local.answers import Answer, Refused, Request, Route, as_json
from databricks_local.identity import Identity
from databricks_local.mlflow_server import StartError

_FOR_MLFLOW = re.compile(r"/api/[23]\.\d/(mlflow|mlflow-artifacts|fs/(files|directories)/Models)(/|$)")
AZURE_PREFIX = "/.azuredatabricks.net"
"""Prefix of paths at `Workspace.azure_host`."""
_REASONS = {
    401: (401, "Credential was not sent or was of an unsupported type for this API."),
    403: ("PERMISSION_DENIED", "User does not have permission."),
    404: ("RESOURCE_DOES_NOT_EXIST", "It does not exist."),
    429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests; please try again later."),
    500: ("INTERNAL_ERROR", "The service has failed."),
    503: ("TEMPORARILY_UNAVAILABLE", "The service is temporarily unavailable."),
}


# Answers a call of MLflow; None for a path that is not MLflow's.
AnswerMlflow = Callable[[Request], Answer | None]


@dataclass
class Fault:
    """The answer to the next requests that match a pattern."""

    pattern: "re.Pattern[str]"
    answer: Answer
    times: int
    drop: bool
    processed: bool


@dataclass
class Faults:
    """The faults that are still to come."""

    pending: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def fail_next(  # noqa: PLR0913  # each is a way to fail
        self,
        pattern: str,
        *,
        status: int = 500,
        error_code: str | int | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        drop: bool = False,
        processed: bool = False,
    ) -> None:
        """Answer the next requests whose "METHOD /path?query" contains this regular expression with an error.

        Args:
            pattern: for example "GET .*/runs/get".
            status: of the answer.
            error_code: in the answer; by default, the usual one of the status.
            message: in the answer; by default, the usual one of the status.
            headers: of the answer.
            times: how many requests fail.
            drop: close the connection without any answer instead.
            processed: carry out the request first, so that only the answer is lost.
        """
        usual_code, usual_message = _REASONS.get(status, ("UNKNOWN", "The service has failed."))
        content = {"error_code": error_code or usual_code, "message": message or usual_message}
        with self._lock:
            answer = as_json(content, status, headers)
            self.pending.append(Fault(re.compile(pattern), answer, times, drop, processed))

    def take(self, line: str) -> Fault | None:
        """Return the fault of this request, if any."""
        with self._lock:
            for fault in self.pending:
                if fault.pattern.search(line):
                    fault.times -= 1
                    if not fault.times:
                        self.pending.remove(fault)
                    return fault
        return None


class Site:
    """The handlers behind the server, and a record of the requests."""

    def __init__(self, identity: Identity, routes: Iterable[Route], mlflow: AnswerMlflow) -> None:
        self._identity = identity
        self.routes = list(routes)
        self._mlflow = mlflow
        self.faults = Faults()
        self.requests: list[str] = []
        """Each request's method and path, in order."""
        self.unknown: list[str] = []
        """Requests for an endpoint that does not exist."""
        self.crashes: list[str] = []
        """Tracebacks of handlers that have failed."""
        self.clock_ahead = 0.0
        """Seconds by which the Date of the answers is ahead of this machine's clock."""

    def answer(self, request: Request) -> Answer | None:
        """Return the answer, or None if the connection is to be dropped."""
        line = f"{request.method} {request.target}"
        self.requests.append(f"{request.method} {request.path}")
        fault = self.faults.take(line)
        if fault is None or fault.processed:
            answer = self._answer(request)
        if fault is not None:
            return None if fault.drop else fault.answer
        return answer

    def _answer(self, request: Request) -> Answer:
        try:
            if not self._identity.is_open(request.path):
                request = replace(request, caller=self._identity.caller(request.headers))
            return self._route(request)
        except Refused as refused:
            return refused.answer()
        except Exception:  # noqa: BLE001  # a server answers whatever has happened; `running` raises it at the end
            self.crashes.append(f"{request.method} {request.target}\n{traceback.format_exc()}")
            return as_json({"error_code": "INTERNAL_ERROR", "message": traceback.format_exc()}, 500)

    def _route(self, request: Request) -> Answer:
        if _FOR_MLFLOW.match(request.path) and (found := self._mlflow(request)) is not None:
            return found
        for method, pattern, handler in self.routes:
            if method == request.method and (match := re.fullmatch(pattern, request.path)) is not None:
                answer = handler(replace(request, parts=match.groupdict()))
                return answer if isinstance(answer, Answer) else as_json(answer)
        self.unknown.append(f"{request.method} {request.path}")
        raise Refused(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path.lstrip('/')}'")


@contextmanager
def serving(make_site: Callable[[str], Site]) -> Iterator[Site]:
    """Serve on a free port of this machine; `make_site` gets the server's address."""

    class Handler(_Handler):
        pass

    try:
        server = _Server(("127.0.0.1", 0), Handler)
    except OSError as error:
        raise StartError(f"No port of 127.0.0.1 can be listened on ({error.strerror}): free one.") from error
    with server:
        site = make_site(f"http://127.0.0.1:{server.server_address[1]}")
        Handler.site = site
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request_thread(request, client_address)
        self._connections.discard(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive."""
        for connection in list(self._connections):
            with suppress(OSError):  # it has ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet per answer

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        # A client that uses this server as its proxy sends the host as well.
        target = re.sub(r"^http://[^/]+", "", self.path).removeprefix(AZURE_PREFIX)
        request = Request.read(self.command, target, dict(self.headers.items()), self.rfile.read(length))
        answer = self.site.answer(request)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815  # http.server's names

    @override
    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.site.clock_ahead)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass  # `Site.requests` contains them
