"""The pages over real HTTP: content, refusals, and live updates in a browser."""

import http.client
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from bs4 import BeautifulSoup
from starlette.types import Receive, Scope, Send

from azure_devops_local.run_store import Issue, Run, Runs
from azure_devops_local.views import html_page, web
from databricks_local import mlflow_server
from kit_common.errors import UserError
from tests.support import chromium, sample_runs
from tests.support.servers import patient_session


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


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve the pages for all tests; each request finds the home of its test."""
    with serving() as site:
        yield site


def test_the_front_page_lists_runs_newest_first_and_pull_requests_active_first(site: Site) -> None:
    for make in (sample_runs.succeeded, sample_runs.failed, sample_runs.running, sample_runs.waiting):
        make()
    sample_runs.pull_requests()
    tree = site.tree("/")
    runs, requests = tree.select("ol.list")
    assert [str(link["href"]) for link in runs.select("li > a")] == ["/runs/4", "/runs/3", "/runs/2", "/runs/1"]
    assert [word.text for word in runs.select(".word")] == ["waiting for approval", "running", "failed", "succeeded"]
    assert "workshop devops approve 4" in runs.text
    oldest = " ".join(runs.select("li")[-1].text.split())
    for fact in ("Merged PR 2: integration into main", "cd.yml #1", "main", "2f6c1d8b", "Ana", "1 min 18 s"):
        assert fact in oldest
    assert [str(link["href"]) for link in requests.select("li > a")] == ["/pull-requests/2", "/pull-requests/1"]
    opened = " ".join(requests.select("li")[0].text.split())
    assert "integration into main" in opened
    assert "succeeded : workshop_unit_test.yml on the merge (run 1)" in re.sub(r" ?:", " :", opened)
    assert "another person than ci.yml completes it" in opened


def test_the_front_page_shows_what_was_announced_last_for_an_environment(site: Site) -> None:
    for announced in ("Version 3 is *promoted*; version 1\\_a is archived", "Version 4 is not better"):
        sample_runs.put(sample_runs.succeeded(), "summaries/decision.md", f"## {announced}.\n\nMore.\n")
    sample_runs.waiting()
    tree = site.tree("/")
    (latest,) = tree.select(".latest")
    shown = " ".join(latest.text.split())
    assert shown.startswith("Version 4 is not better. The last deployment to production, by run 2 ·")
    assert [line.text for line in tree.select(".outcome")] == [
        "Version 4 is not better.",
        "Version 3 is promoted; version 1_a is archived.",
    ]


def test_one_stage_has_no_second_icon_and_a_waiting_run_no_duration(site: Site) -> None:
    sample_runs.failed()
    sample_runs.waiting()
    waiting, failed = site.tree("/").select("ol.list")[0].select("li")
    assert (len(waiting.select(".side")), len(failed.select(".side span"))) == (0, 2)
    assert " ".join(waiting.select("p")[1].text.split()).endswith("UTC")


def test_code_in_a_sentence_is_shown_as_code(site: Site) -> None:
    (code,) = site.tree_of_missing("/runs/7").select("main code")
    assert code.text == "workshop devops runs"


def test_an_empty_front_page_names_the_first_commands(site: Site) -> None:
    text = site.tree("/").text
    assert "git push workshop my-branch" in text
    assert "workshop devops pr create" in text


def test_a_pull_request_shows_its_description_policies_and_command(site: Site) -> None:
    sample_runs.succeeded()
    sample_runs.pull_requests()
    tree = site.tree("/pull-requests/2")
    assert [cell.text for cell in tree.select(".prose td")] == ["AUC", "0.9"]
    assert "workshop devops pr complete 2" in tree.text
    assert [check.text.split(":")[0].strip() for check in tree.select(".check")] == [
        "succeeded",
        "waiting for approval",
    ]
    done = site.tree("/pull-requests/1").text
    assert "completed by" in done
    assert "aaaaaaaa" in done
    assert "pr complete" not in done


def test_a_policy_whose_run_was_removed_does_not_take_the_page_away(site: Site) -> None:
    sample_runs.pull_requests()
    assert "the run is no longer there" in site.tree("/pull-requests/2").text
    assert site.code("/") == 200


def test_a_runs_page_links_to_its_logs_and_artifacts(site: Site) -> None:
    sample_runs.succeeded()
    links = [str(link["href"]) for link in site.tree("/runs/1").select(".files a")]
    assert links == ["/runs/1/artifacts/report/report.html", "/runs/1/artifacts/report/summary.json"]
    answer, text = site.ask(links[0])
    assert text.startswith("<h1>The report</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert "sandbox allow-popups;" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"]
    log, text = site.ask("/runs/1/logs/1.log")
    assert text.startswith("##[section]Starting")
    assert (log.headers["content-type"], log.headers["x-content-type-options"]) == (
        "text/plain; charset=utf-8",
        "nosniff",
    )


def test_every_page_forbids_scripts_but_its_own(site: Site) -> None:
    sample_runs.failed()
    sample_runs.pull_requests()
    nonces = set()
    for path in ("/", "/runs/1", "/runs/99", "/pull-requests/2"):
        answer, text = site.ask(path)
        policy = answer.headers["content-security-policy"]
        tree = BeautifulSoup(text, "html.parser")
        nonce = str(tree.select("script")[0]["nonce"])
        assert len(tree.select("script")) == 1
        assert f"script-src 'nonce-{nonce}';" in policy
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert tree.select("[onerror], [onclick], [style]") == []
        nonces.add(nonce)
    assert len(nonces) == 4


@pytest.mark.parametrize(
    "path",
    [
        "/runs/1/logs/../run.json",
        "/runs/1/logs/..%2frun.json",
        "/runs/1/logs/%2e%2e/run.json",
        "/runs/1/logs/..%5crun.json",
        "/runs/1/logs//etc/passwd",
        "/runs/1/logs/%2fetc%2fpasswd",
        "/runs/1/logs/link.log",
        "/runs/1/logs/%00",
        "/runs/1/logs/" + "x" * 5000,
        "/runs/1/logs/",
        "/runs/1/artifacts/report",
        "/runs/1/artifacts/../logs/1.log",
        "/runs/1/work/secret.txt",
        "/runs/1/../runs/1/run.json",
        "/runs/%2e%2e/logs/run.json",
        "/runs/1/./run.json",
        "/runs/../run.json",
        "/runs/2",
        "/runs/-1",
        "/runs/x",
        "/runs/" + "9" * 400,
        "/runs/" + "9" * 6000,
        "/pull-requests/7",
        "/pull-requests/..%2f..%2f",
        "/docs",
        "/openapi.json",
        "/favicon.ico",
    ],
)
def test_a_missing_or_private_file_is_a_page_with_a_sentence(site: Site, path: str) -> None:
    run = sample_runs.succeeded()
    sample_runs.put(run, "work/secret.txt", "secret")
    (Runs().folder_of(1) / "logs" / "link.log").symlink_to(Runs().folder_of(1) / "run.json")
    answer, text = site.ask(path)
    assert answer.status == 404
    sentence = BeautifulSoup(text, "html.parser").select_one("main p")
    assert sentence is not None
    assert sentence.text.startswith("There is no")
    assert "Traceback" not in text


@pytest.mark.parametrize("path", ["/", "/runs/1", "/runs/1/logs/1.log", "/pull-requests/1"])
def test_head_is_answered_like_get_without_a_body(site: Site, path: str) -> None:
    sample_runs.succeeded()
    sample_runs.pull_requests()
    answer, text = site.ask(path, "HEAD")
    assert (answer.status, text) == (200, "")
    assert answer.headers["content-type"] == site.ask(path)[0].headers["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/runs/1", "/runs/1/logs/1.log", "/pull-requests/1"])
def test_nothing_can_be_changed(site: Site, method: str, path: str) -> None:
    sample_runs.succeeded()
    assert site.code(path, method) == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8900", "[::1]", "0.0.0.0"])
def test_a_foreign_host_name_is_refused(site: Site, host: str) -> None:
    sample_runs.succeeded()
    answer, text = site.ask("/runs/1", host=host)
    assert answer.status == 400
    assert "cd.yml" not in text


def test_both_names_of_this_machine_are_accepted(site: Site) -> None:
    assert site.code("/", host="localhost") == 200
    assert site.code("/", host=f"localhost:{site.port}") == 200


def test_a_run_that_is_removed_meanwhile_is_a_404(site: Site) -> None:
    run = sample_runs.running()
    assert site.code("/runs/1") == 200
    shutil.rmtree(Runs().folder_of(run.number))
    answer, text = site.ask("/runs/1")
    assert answer.status == 404
    assert "There is no run 1" in text


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with (
        socket.create_server((web.HOST, 0)) as taken,
        pytest.raises(UserError, match=r"listen at .*: choose another --port\.$"),
    ):
        web.serve(taken.getsockname()[1])


@pytest.mark.integration
def test_the_command_serves_on_this_machine_only_and_ctrl_c_ends_it() -> None:
    port = mlflow_server.free_port()
    command = [sys.executable, "-m", "workshop", "devops", "web", "--port", str(port)]
    with mlflow_server.started(command, "Ctrl-C") as process:
        assert patient_session().get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 200
        with suppress(OSError):
            addresses = {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), port)}
            for address in addresses - {"127.0.0.1", "127.0.1.1"}:
                with pytest.raises(OSError, match=r"."):
                    socket.create_connection((address, port), timeout=2)
        process.send_signal(2)
        assert process.wait(timeout=30) == 0


@chromium.needed
@pytest.mark.integration
def test_a_browser_shows_the_progress_of_a_run() -> None:
    run = sample_runs.running()
    with serving() as site:

        def go_on() -> None:
            """The second time that the page asks, the run has come to its end."""
            if len(site.asked) == 3:
                _finish(run)

        site.on_request = go_on
        seen = chromium.look(f"{site.url}/runs/1", 8_000)
    wanted = [dest for path, dest in site.asked if path == "/runs/1"]
    assert wanted == ["document", "empty", "empty"]  # and no more after the run was over
    assert seen.console == []
    tree = BeautifulSoup(seen.dom, "html.parser")
    assert tree.title is not None
    assert tree.title.text == "workshop_unit_test.yml #1: failed"
    assert [row.get_text(" ", strip=True) for row in tree.select("summary, .step")] == [
        "Say it failed 7.0 s",
        "Then skipped",
    ]
    assert [item.text for item in tree.select(".log li")] == ["hello", sample_runs.NASTY, "##[error]It broke"]
    assert tree.select("img") == []


@chromium.needed
@pytest.mark.integration
@pytest.mark.parametrize("dark", [False, True])
def test_every_page_is_readable_in_both_themes_and_on_a_phone(site: Site, dark: bool) -> None:
    for make in (sample_runs.succeeded, sample_runs.failed, sample_runs.running, sample_runs.waiting):
        run = make()
        run.notices.append("/a/path/without/an/end" * 20)
        Runs().save(run)
        if run.state == "completed":
            html_page.write(run, Runs().folder_of(run.number) / "page.html")
    sample_runs.pull_requests()
    paths = ["/", "/runs/3", "/runs/4", "/runs/99", "/pull-requests/1", "/pull-requests/2"]
    pages = {path.replace("/", "_"): site.ask(path)[1] for path in paths}
    written = {f"written {n}": (Runs().folder_of(n) / "page.html").read_text(encoding="utf-8") for n in (1, 2)}
    assert chromium.unreadable(pages | written, dark=dark) == []


_READER = """
const log = document.querySelector(".log"), line = log.querySelector("li");
document.querySelector("summary").click();  // closes what the page had opened
setInterval(() => document.body.dataset.kept = line.isConnected && log.isConnected ? "yes" : "no", 100);
"""


@chromium.needed
@pytest.mark.integration
def test_what_a_reader_has_closed_stays_closed_and_what_is_unchanged_stays_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = sample_runs.running()
    whole = html_page.whole

    def with_a_reader(title: str, body: str, nonce: str = "") -> str:
        return whole(title, body, nonce).replace("</body>", f'<script nonce="{nonce}">{_READER}</script></body>')

    monkeypatch.setattr(html_page, "whole", with_a_reader)
    with serving() as site:
        site.on_request = lambda: _finish(run) if len(site.asked) == 2 else None
        seen = chromium.look(f"{site.url}/runs/1", 5_000)
    tree = BeautifulSoup(seen.dom, "html.parser")
    assert seen.console == []
    assert len(tree.select(".log li")) == 3
    assert [details.get("open") for details in tree.select("details")] == [None]
    assert tree.body is not None
    assert tree.body["data-kept"] == "yes"


@chromium.needed
@pytest.mark.integration
def test_a_browser_runs_nothing_from_an_artifact() -> None:
    sample_runs.succeeded()
    with serving() as site:
        seen = chromium.look(f"{site.url}/runs/1/artifacts/report/report.html")
    assert "The report" in seen.dom
    assert "<title>pwned" not in seen.dom
    assert any("sandboxed" in line or "Content Security Policy" in line for line in seen.console)


def _finish(run: Run) -> None:
    step, skipped = run.stages[0].jobs[0].steps
    step.result, step.finished, step.issues = "failed", sample_runs.at(7), [Issue(kind="error", text="It broke")]
    skipped.result = "skipped"
    run.stages[0].result = run.stages[0].jobs[0].result = run.result = "failed"
    run.stages[0].jobs[0].finished = run.finished = sample_runs.at(8)
    run.state = "completed"
    with (Runs().folder_of(run.number) / step.log).open("a", encoding="utf-8") as log:
        log.write("##[error]It broke\n")
    Runs().save(run)
