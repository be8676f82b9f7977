"""Git, asked by its command line."""

import os
import subprocess
from pathlib import Path

from workshop.core.errors import WorkshopError, first_sentence


def run(place: Path, *arguments: str, given: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a Git command in `place`, whatever comes of it; `given` is its input."""
    return subprocess.run(
        ["git", "-C", str(place), *arguments],
        input=given,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def ask(place: Path, *arguments: str, given: str = "", **environment: str) -> str:
    """What a Git command prints, without the last line end.

    Raises:
        WorkshopError: it failed; with what Git says.
    """
    done = run(place, *arguments, given=given.encode(), **environment)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        raise WorkshopError(f"`git {arguments[0]}` failed: {first_sentence(Exception(said))}.")
    return done.stdout.decode(errors="replace").rstrip("\n")
