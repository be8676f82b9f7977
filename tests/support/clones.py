"""A clone of this repository, and a participant's commands and changes in it."""

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from tests.support.commands import workshop
from workshop.core.settings import PACKAGE

REPOSITORY = PACKAGE.parents[1]
NOTEBOOKS = PACKAGE.relative_to(REPOSITORY) / "notebooks"


def checkout(folder: Path) -> Path:
    """Copy the repository with uncommitted changes to `folder`, as the only commit of a new repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "-m", "a commit"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def copy_training_cell(notebooks: Path) -> None:
    """Replace the training cell of 1_2 with that of Part 4, in the notebooks of this folder."""
    source = nbformat.read(notebooks / "part_4_new_training_code.ipynb", as_version=4)
    target = nbformat.read(notebooks / "part_1_2_training.ipynb", as_version=4)
    (better,) = [cell for cell in source.cells if "training" in cell.metadata.get("tags", [])]
    (baseline,) = [cell for cell in target.cells if "training" in cell.metadata.get("tags", [])]
    baseline.source = better.source
    nbformat.write(target, notebooks / "part_1_2_training.ipynb")


def stand_in_a_clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a clone of this repository the current folder, and return it."""
    checkout(folder)
    monkeypatch.chdir(folder)
    git("branch", "--move", "--force", "main")
    git("config", "user.name", "Ana")
    git("config", "user.email", "ana@example.com")
    return folder


def git(*arguments: str) -> str:
    """Return the output of a Git command, with progress and the server's answers."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def output_of(*arguments: str, code: int = 0) -> str:
    """Run `workshop …`, require its exit code, and return its output."""
    done = workshop(*arguments)
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.out + done.err
    return done.out + done.err


def reword(notebook: str, text: str) -> None:
    """Add a paragraph to a notebook, and commit it."""
    path = NOTEBOOKS / f"{notebook}.ipynb"
    content = nbformat.read(path, as_version=4)
    content.cells[0].source += f"\n\n{text}"
    nbformat.write(content, path)
    git("commit", "--all", "--message", text)
