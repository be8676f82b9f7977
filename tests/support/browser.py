"""The system's Chromium, driven by playwright; tests/support/chromium.py has what needs no driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.chromium import PROGRAM

_WIDE = """() => {
  const scrolls = each => each && (getComputedStyle(each).overflowX !== "visible" || scrolls(each.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter(
    each => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each.parentElement));
  const whole = document.documentElement.scrollWidth;
  return wide.map(each => `${each.tagName}.${each.className}`).concat(whole > innerWidth ? [`${whole} px`] : []);
}"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, without a network but the loopback interface."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@dataclass
class Listener:
    """What a page has requested and written to its console."""

    requests: list[str] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        """Collect from now on."""
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.noise.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda line: self.noise.append(f"{page.url}: {line.text}") if line.type in ("error", "warning") else None,
        )


def too_wide(page: Page, width: int) -> list[str]:
    """Return the elements that are cut off, or make the page scroll sideways, in a window of that width."""
    page.set_viewport_size({"width": width, "height": 900})
    found: list[str] = page.evaluate(_WIDE)
    return found


def violations(page: Page, rules: list[str], within: str = "html") -> list[str]:
    """Return what axe-core finds by its rules in an element of the page: rule, element, and the first reason."""
    answer = Axe().run(page, within, options={"resultTypes": ["violations"], "runOnly": rules}).response
    return [
        f"{violation['id']}: {node['html'][:100]} {[reason['message'] for reason in node['any']][:1]}"
        for violation in answer["violations"]
        for node in violation["nodes"]
    ]
