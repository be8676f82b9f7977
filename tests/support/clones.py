"""A clone of this repository of a test's own, and what a person changes in it."""

import shutil
import subprocess
from pathlib import Path

import nbformat

from workshop.core.settings import PACKAGE

REPOSITORY = PACKAGE.parents[1]


def checkout(folder: Path) -> Path:
    """The repository as it is now, what is not committed yet included, as the one commit of a new one in `folder`."""
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
    """Part 4, as a person does it: its training cell over that of 1_2, in the notebooks of that folder."""
    source = nbformat.read(notebooks / "part_4_new_training_code.ipynb", as_version=4)
    target = nbformat.read(notebooks / "part_1_2_training.ipynb", as_version=4)
    (better,) = [cell for cell in source.cells if "training" in cell.metadata.get("tags", [])]
    (baseline,) = [cell for cell in target.cells if "training" in cell.metadata.get("tags", [])]
    baseline.source = better.source
    nbformat.write(target, notebooks / "part_1_2_training.ipynb")
