"""The site that `make docs` builds: complete, offline, readable at every width and in both themes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock
from playwright.sync_api import Browser, expect

from tests.support import chromium
from tests.support.browser import Listener, browser, too_wide, violations
from workshop.core.settings import PACKAGE

pytestmark = [pytest.mark.integration, pytest.mark.long]
ROOT = PACKAGE.parents[1]
NOTEBOOKS = sorted((PACKAGE / "notebooks").glob("part_*.ipynb"))
SECONDS, MEGABYTES = 60, 5
STRUCTURE = ["heading-order", "page-has-heading-one", "empty-heading", "document-title", "html-has-lang"]
NAMES = ["image-alt", "svg-img-alt", "link-name", "button-name", "label"]
PHONE, DESKTOP = 390, 1280


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, built once for all processes that test; `seconds` beside it has how long it took."""
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "site"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            started = time.monotonic()
            command = [sys.executable, str(ROOT / "docs" / "build.py"), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "seconds").write_text(json.dumps(time.monotonic() - started), encoding="utf-8")
            print(done.stdout)
    return folder / "html"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


def pages(site: Path) -> list[Path]:
    """All pages but the first, which only leads to docs/index.html: a browser leaves it while a test looks at it."""
    return sorted(set(site.rglob("*.html")) - {site / "index.html"})


def test_the_site_is_small_and_built_fast(site: Path) -> None:
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert size < MEGABYTES * 1e6
    # Other tests keep the machine busy, so a second of work takes up to three.
    assert json.loads((site.parent / "seconds").read_text(encoding="utf-8")) < 3 * SECONDS


def test_each_notebook_is_a_page_with_the_outputs_of_a_run(site: Path) -> None:
    for path in NOTEBOOKS:
        page = BeautifulSoup((site / path.relative_to(ROOT)).with_suffix(".html").read_text("utf-8"), "html.parser")
        assert page.select(".cell_output"), path
        assert not page.select(".output.stderr, .output.traceback"), path


def test_every_link_leads_to_a_page_and_a_place_of_the_site(site: Path) -> None:
    trees = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages(site)}
    places = {path: {each["id"] for each in tree.select("[id]")} for path, tree in trees.items()}
    broken = []
    for path, tree in trees.items():
        for link in tree.select("a[href], link[href], script[src], img[src]"):
            address = urlsplit(str(link.get("href") or link.get("src")))
            if address.scheme:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            missing = address.fragment and target in places and unquote(address.fragment) not in places[target]
            if not target.exists() or missing:
                broken.append((str(path.relative_to(site)), address.geturl()))
    assert len(trees) > 30
    assert broken == []


def test_the_front_page_has_the_minutes_of_each_part() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    shown = re.findall(r"\((part_\d\.md)\) \| .* \| (\d+) \|$", index, re.MULTILINE)
    assert [name for name, _ in shown] == [f"part_{part}.md" for part in range(6)]
    for name, minutes in shown:
        assert f"**Time**: {minutes} minutes" in (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_no_page_speaks_of_another_service(site: Path) -> None:
    for path in pages(site):
        text = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").get_text()
        assert not re.search(r"GitHub Actions|Actions tab|\.github/workflows", text, re.IGNORECASE), path


@chromium.needed
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_page_is_readable_and_requests_nothing_from_another_host(site: Path, chrome: Browser, theme: str) -> None:
    listener, problems = Listener(), []
    page = chrome.new_page(color_scheme="dark" if theme == "dark" else "light")
    listener.listen(page)
    for path in pages(site):
        page.goto(path.as_uri())
        found = [f"{width} px: {each}" for width in (PHONE, DESKTOP) for each in too_wide(page, width)]
        found += violations(page, ["color-contrast", *([*STRUCTURE, *NAMES] if theme == "light" else [])])
        problems += [f"{path.relative_to(site)}: {each}" for each in found]
    page.close()
    assert problems == []
    assert [each for each in listener.requests if not each.startswith(("file:", "data:"))] == []
    assert listener.noise == []


@chromium.needed
def test_what_is_unreadable_is_found(chrome: Browser) -> None:
    page = chrome.new_page()
    page.set_content(
        '<h1>A</h1><h3>B</h3><p style="color:#aaa;background:#fff">pale</p><div style="width:2000px">w</div>'
    )
    assert too_wide(page, PHONE)
    found = violations(page, ["heading-order", "color-contrast"])
    assert {each.partition(":")[0] for each in found} == {"heading-order", "color-contrast"}
    page.close()


@chromium.needed
def test_the_search_works_from_disk(site: Path, chrome: Browser) -> None:
    page = chrome.new_page()
    page.goto((site / "docs" / "index.html").as_uri())
    page.get_by_placeholder("Search").fill("champion")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results li a", has_text="Glossary").first).to_be_visible()
    page.close()


@chromium.needed
def test_the_pages_work_without_javascript(site: Path, chrome: Browser) -> None:
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "docs" / "part_0.html").as_uri())
    expect(page.locator("svg.picture").first).to_be_visible()
    laptop, azure = (page.locator(".sd-tab-content").nth(at) for at in (0, 1))
    expect(laptop).to_be_visible()
    expect(azure).to_be_hidden()
    page.locator(".sd-tab-label", has_text="Azure").first.click()
    expect(azure).to_be_visible()
    expect(laptop).to_be_hidden()
    context.close()


@chromium.needed
def test_the_pictures_follow_the_theme_that_the_reader_chooses(site: Path, chrome: Browser) -> None:
    page = chrome.new_page(color_scheme="light")
    page.goto((site / "docs" / "part_3.html").as_uri())
    papers = []
    for theme in ("auto", "light", "dark"):
        page.evaluate("theme => document.body.dataset.theme = theme", theme)
        papers.append(page.evaluate("getComputedStyle(document.querySelector('svg.picture .paper')).fill"))
    assert papers[0] == papers[1] != papers[2]
    page.close()


@chromium.needed
def test_a_picture_has_no_text_below_11_pixels_on_a_phone(site: Path, chrome: Browser) -> None:
    page = chrome.new_page(viewport={"width": PHONE, "height": 900})
    for part in range(6):
        page.goto((site / "docs" / f"part_{part}.html").as_uri())
        sizes = page.evaluate(
            """() => [...document.querySelectorAll("svg.picture text")].map(text => {
              const picture = text.ownerSVGElement, scale = picture.clientWidth / picture.viewBox.baseVal.width;
              return parseFloat(getComputedStyle(text).fontSize) * scale;
            })"""
        )
        assert min(sizes) > 10.7
    page.close()
