"""The pages of runs and pull requests, served in this process."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from bs4 import BeautifulSoup
from starlette.types import Receive, Scope, Send

from azure_devops_local.views import web


@dataclass
class Site:
    """The pages, served in this process."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Requested paths, with the purpose that the browser has sent."""
    on_request: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", host: str = "") -> tuple[http.client.HTTPResponse, str]:
        """Request exactly this path, which no client normalizes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            connection.endheaders()
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def code(self, path: str, method: str = "GET", host: str = "") -> int:
        return self.ask(path, method, host)[0].status

    def tree(self, path: str) -> BeautifulSoup:
        answer, text = self.ask(path)
        assert answer.status == 200, text
        return BeautifulSoup(text, "html.parser")

    def tree_of_missing(self, path: str) -> BeautifulSoup:
        answer, text = self.ask(path)
        assert answer.status == 404
        assert "`" not in text.partition("<main")[2].partition("</main>")[0]
        return BeautifulSoup(text, "html.parser")


@contextmanager
def serving() -> Iterator[Site]:
    app = web.build()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = Site(listener.getsockname()[1])

        async def app_with_requests(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                wanted = dict(scope["headers"]).get(b"sec-fetch-dest", b"").decode()
                site.asked.append((scope["path"], wanted))
                site.on_request()
            await app(scope, receive, send)

        server = uvicorn.Server(uvicorn.Config(app_with_requests, log_config=None, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(timeout=30)
