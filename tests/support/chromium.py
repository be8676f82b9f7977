"""Pages rendered by headless Chromium."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
needed = pytest.mark.skipif(not PROGRAM, reason="Chromium is not installed on this machine")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]

_DARK = ["--blink-settings=preferredColorScheme=0"]
# The contrast of WCAG 2, of each visible text with the nearest opaque background below it.
_AUDIT = """
const parsed = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
const ground = element => {
  for (let each = element; each; each = each.parentElement) {
    const colour = parsed(getComputedStyle(each).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const name = element => `${element.tagName}.${element.className}`;
document.querySelectorAll("details").forEach(details => details.open = true);
const problems = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility() || element.closest("script, style")) continue;
  texts += 1;
  const [one, other] = [light(parsed(getComputedStyle(element).color)), light(ground(element))].sort();
  const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  if (contrast < 4.5) problems.add(`${contrast.toFixed(1)}:1 ${name(element)}: ${text.slice(0, 40)}`);
}
const scrolls = each => each && (getComputedStyle(each).overflowX !== "visible" || scrolls(each.parentElement));
for (const element of document.body.querySelectorAll("*"))
  if (element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element.parentElement))
    problems.add(`too wide: ${name(element)}`);
const whole = document.documentElement.scrollWidth;
if (whole > innerWidth) problems.add(`the page is ${whole} px wide`);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
parent.postMessage(JSON.stringify({page: NAME, texts, dark, width: innerWidth, problems: [...problems]}), "*");
"""
# Frames may be narrower than 500 pixels, which a window may not; and one browser shows all pages.
_WIDTHS = (390, 1280)
_FRAMES = """<!doctype html><meta name="color-scheme" content="light dark"><body><pre id="audits"></pre><script>
onmessage = message => document.querySelector("pre").append(message.data + "\\n");
</script>"""


@dataclass(frozen=True)
class Seen:
    """A rendered page: its final document, and the lines of its console."""

    dom: str
    console: list[str]


def look(url: str, milliseconds: int = 1_000) -> Seen:
    """Open a page, let that much of its own time pass, and return its document and console."""
    done = _chromium(url, "--dump-dom", f"--virtual-time-budget={milliseconds}")
    return Seen(done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line])


def unreadable(pages: dict[str, str], *, dark: bool) -> list[str]:
    """Return what can't be read on pages: texts with a contrast below 4.5, and parts that are wider than the window.

    Args:
        pages: name and HTML of each; it is shown at 390 and at 1280 pixels, with its `<details>` open.
        dark: whether the reader prefers a dark theme.
    """
    frames = _FRAMES
    with tempfile.TemporaryDirectory() as folder:
        for name, page in pages.items():
            text = re.sub(r"<meta http-equiv[^>]*>", "", page)  # which forbids the script
            script = _AUDIT.replace("NAME", json.dumps(name))
            (Path(folder) / f"{name}.html").write_text(f"{text}<script>{script}</script>", encoding="utf-8")
            frames += "".join(f'<iframe width="{width}" height="900" src="{name}.html"></iframe>' for width in _WIDTHS)
        whole = Path(folder) / "frames.html"
        whole.write_text(frames, encoding="utf-8")
        theme = _DARK if dark else []
        dom = _chromium(whole.as_uri(), "--dump-dom", "--virtual-time-budget=5000", *theme).stdout
    lines = html.unescape(dom.partition('<pre id="audits">')[2].partition("</pre>")[0]).splitlines()
    audits: list[dict[str, Any]] = [json.loads(line) for line in lines]
    expected = [(name, width, dark) for name in pages for width in _WIDTHS]
    assert sorted((each["page"], each["width"], each["dark"]) for each in audits) == sorted(expected)
    assert all(each["texts"] > 0 for each in audits)
    return [f"{each['page']} at {each['width']}: {text}" for each in audits for text in each["problems"]]


def picture(url: str, path: Path, width: int = 1200, height: int = 1400, *, dark: bool = False) -> None:
    """Take a picture of a page."""
    size = f"--window-size={width},{height}"
    _chromium(url, f"--screenshot={path}", size, "--virtual-time-budget=500", *(_DARK if dark else []))


def _chromium(url: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", *flags, url],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=60,
        )
