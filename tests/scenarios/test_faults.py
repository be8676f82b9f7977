"""A smoke test of the proxy with which tests interrupt requests to a server."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from tests.support.faulty_proxy import How, faulty_proxy


@pytest.mark.parametrize(("how", "outcome", "received"), [("500", 500, 2), ("lost answer", 0, 3), ("hang", 0, 2)])
def test_only_the_chosen_request_fails(how: How, outcome: int, received: int) -> None:
    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    paths: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with faulty_proxy(f"http://127.0.0.1:{server.server_port}") as proxy:

            def status(path: str) -> int:
                try:
                    return requests.post(proxy.uri + path, data=b"x", timeout=1).status_code
                except (requests.ConnectionError, requests.Timeout):
                    return 0

            proxy.fail(at=2, how=how)
            assert [status("/first"), status("/second"), status("/third")] == [200, outcome, 200]
            assert proxy.struck.is_set()
            assert proxy.calls == ["POST /first", "POST /second", "POST /third"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert len(paths) == received
