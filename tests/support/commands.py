"""`workshop …` in a new process, or in this one, which is faster."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last line of the error output, or of the output where the former is empty."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1] if lines else ""


def workshop(*arguments: str, **environment: str) -> Finished:
    """Run `workshop …` to its end, with these environment variables besides the test's own."""
    done = subprocess.run(
        [sys.executable, "-m", "workshop", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "200", **environment},
        check=False,
        timeout=300,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def workshop_here(*arguments: str, **environment: str) -> Finished:
    """Run `workshop …` in this process, which saves seconds of imports, with these environment variables as well."""
    from workshop.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["workshop", *arguments])
            patch.setattr(sys, "unraisablehook", sys.unraisablehook)  # which `workshop run` replaces
            with pytest.raises(SystemExit) as ended:
                main()
    finally:  # also where a test simulates a process that is killed
        for each, handler in before.items():
            signal.signal(each, handler)
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def status() -> dict[str, Any]:
    """Return the output of `workshop status --json`."""
    answer = workshop_here("status", "--json")
    assert answer.code == 0, answer.err
    return dict(json.loads(answer.out))


def latest_summary(home: Path) -> dict[str, Any]:
    """Return the `summary.json` of the newest run."""
    newest = max((home / "runs").iterdir(), key=lambda folder: folder.name)
    return dict(json.loads((newest / "summary.json").read_text(encoding="utf-8")))
