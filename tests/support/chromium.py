"""Pages rendered by headless Chromium."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Seen:
    """A rendered page: its final document, and the lines of its console."""

    dom: str
    console: list[str]


def look(url: str, milliseconds: int = 1_000) -> Seen:
    """Open a page, let that much of its own time pass, and return its document and console."""
    done = _chromium(url, "--dump-dom", f"--virtual-time-budget={milliseconds}")
    return Seen(done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line])


def picture(url: str, path: Path, width: int = 1200, height: int = 1400) -> None:
    """Take a picture of a page."""
    _chromium(url, f"--screenshot={path}", f"--window-size={width},{height}", "--virtual-time-budget=500")


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
