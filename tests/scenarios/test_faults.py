"""What goes wrong on the way to a server goes wrong exactly where and how a test has said."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.faulty_proxy import FaultyProxy, How, faulty_proxy

LARGE = bytes(range(256)) * 20_000


class Backend(ThreadingHTTPServer):
    """A server that notes what it has done."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.done: list[str] = []

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Echo(BaseHTTPRequestHandler):
    """Answers with the body that it was sent, in chunks of unknown length if the path says so."""

    server: Backend
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.done.append(f"{self.command} {self.path}")
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("X-Backend", "yes")
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815  # the library's

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Backend]:
    backend = Backend()
    thread = threading.Thread(target=backend.serve_forever, args=(0.01,))
    thread.start()
    yield backend
    backend.shutdown()
    thread.join()
    backend.server_close()


@pytest.fixture
def backend(running: Backend) -> Backend:
    """It has done nothing yet in this test."""
    running.done.clear()
    return running


@pytest.fixture
def proxy(backend: Backend) -> Iterator[FaultyProxy]:
    with faulty_proxy(backend.uri) as proxy:
        yield proxy


@pytest.fixture
def ask(proxy: FaultyProxy) -> Iterator[Callable[[str], int]]:
    """Ask for a path over one connection as long as it holds; gives the answer's status code, or 0 for none."""
    with requests.Session() as session:

        def ask(path: str) -> int:
            try:
                return session.post(proxy.uri + path, data=b"x", timeout=5).status_code
            except requests.ConnectionError:
                return 0

        yield ask


def test_all_goes_well_until_it_is_told_otherwise(proxy: FaultyProxy, backend: Backend) -> None:
    with requests.Session() as session:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            answer = session.request(method, f"{proxy.uri}/path?a=b%20c", data=b"body", timeout=5)
            assert (answer.status_code, answer.content, answer.headers["X-Backend"]) == (200, b"body", "yes")
        assert session.get(f"{proxy.uri}/missing", timeout=5).status_code == 404
    assert backend.done[0] == "GET /path?a=b%20c"
    assert proxy.calls == ["GET /path", "POST /path", "PUT /path", "DELETE /path", "PATCH /path", "GET /missing"]
    assert not proxy.struck.is_set()


@pytest.mark.parametrize("path", ["/artifact", "/chunked"])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_come_through_both_ways(proxy: FaultyProxy, path: str, chunked: bool) -> None:
    body = iter([LARGE[:1000], LARGE[1000:]]) if chunked else LARGE
    assert requests.put(proxy.uri + path, data=body, timeout=5).content == LARGE


@pytest.mark.parametrize(("how", "status", "applied"), [("500", 500, 2), ("lost answer", 0, 3), ("refuse", 0, 2)])
def test_only_the_request_of_that_number_goes_wrong(
    proxy: FaultyProxy, ask: Callable[[str], int], backend: Backend, how: How, status: int, applied: int
) -> None:
    assert ask("/before") == 200
    proxy.fail(at=2, how=how)
    assert [ask("/first"), ask("/second"), ask("/third")] == [200, status, 200]
    assert proxy.struck.is_set()
    assert proxy.calls == ["POST /before", "POST /first", "POST /second", "POST /third"]
    assert len(backend.done) == 1 + applied


@pytest.mark.parametrize(("how", "status"), [("500", 500), ("lost answer", 0), ("refuse", 0)])
def test_every_request_from_that_number_on_goes_wrong_until_healed(
    proxy: FaultyProxy, ask: Callable[[str], int], how: How, status: int
) -> None:
    proxy.fail(at=2, how=how, onwards=True)
    assert [ask("/1"), ask("/2"), ask("/3")] == [200, status, status]
    proxy.heal()
    assert ask("/4") == 200


def test_a_request_that_hangs_ends_when_the_proxy_is_healed(
    proxy: FaultyProxy, ask: Callable[[str], int], backend: Backend
) -> None:
    proxy.fail(at=1, how="hang")
    with ThreadPoolExecutor(1) as others:
        answer = others.submit(ask, "/hangs")
        assert proxy.struck.wait(5)
        assert not answer.done()
        assert requests.post(f"{proxy.uri}/beside", timeout=5).status_code == 200
        proxy.heal()
        assert answer.result(timeout=5) == 0
    assert backend.done == ["POST /beside"]


def test_a_client_that_gives_up_ends_a_request_that_hangs(proxy: FaultyProxy, backend: Backend) -> None:
    proxy.fail(at=1, how="hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(proxy.uri, timeout=0.05)
    assert backend.done == []


@pytest.mark.parametrize(
    "header", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_half_a_request_never_reaches_the_server(proxy: FaultyProxy, backend: Backend, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(proxy.uri).port or 0), timeout=5) as client:
        client.sendall(b"PUT /artifact HTTP/1.1\r\n" + header)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert (proxy.calls, backend.done) == (["PUT /artifact"], [])


def test_closing_hangs_up_on_everybody(backend: Backend) -> None:
    with requests.Session() as idle, ThreadPoolExecutor(1) as others:
        with faulty_proxy(backend.uri) as proxy:
            idle.get(proxy.uri, timeout=5)
            proxy.fail(at=1, how="hang")
            hanging = others.submit(requests.get, proxy.uri, timeout=30)
            assert proxy.struck.wait(5)
        with pytest.raises(requests.ConnectionError):
            hanging.result(timeout=5)
        with pytest.raises(requests.ConnectionError):
            idle.get(proxy.uri, timeout=5)


def test_a_server_that_is_gone_is_a_proxy_that_does_not_answer() -> None:
    gone = Backend()
    gone.server_close()
    with faulty_proxy(gone.uri) as proxy:
        with pytest.raises(requests.ConnectionError):
            requests.get(proxy.uri, timeout=5)
        assert proxy.calls == ["GET /"]
