"""The pages in a browser: live updates, both themes, a phone, and no foreign scripts."""

import pytest
from bs4 import BeautifulSoup

from azure_devops_local.run_store import Issue, Run, Runs
from azure_devops_local.views import html_page
from tests.support import chromium, sample_runs
from tests.support.web_site import Site, serving


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
