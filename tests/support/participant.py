"""What a participant does in her clone, and what she sees: each a process of its own."""

import subprocess
from pathlib import Path

import nbformat
import pytest

from tests.support.clones import checkout
from tests.support.commands import Finished, workshop
from workshop.core.settings import PACKAGE

NOTEBOOKS = PACKAGE.relative_to(PACKAGE.parents[1]) / "notebooks"


def stand_in_a_clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ana's clone of this repository, which is the current folder from now on."""
    checkout(folder)
    monkeypatch.chdir(folder)
    git("branch", "--move", "--force", "main")
    git("config", "user.name", "Ana")
    git("config", "user.email", "ana@example.com")
    return folder


def git(*arguments: str) -> str:
    """What a Git command prints, progress and the server's answers included."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def said(*arguments: str, code: int = 0) -> str:
    """What `workshop …` prints, once it has ended as it should."""
    done: Finished = workshop(*arguments)
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.out + done.err
    return done.out + done.err


def reword(notebook: str, text: str) -> None:
    """A harmless change, committed: a paragraph more."""
    path = NOTEBOOKS / f"{notebook}.ipynb"
    content = nbformat.read(path, as_version=4)
    content.cells[0].source += f"\n\n{text}"
    nbformat.write(content, path)
    git("commit", "--all", "--message", text)
