"""A clone of a small workshop, with real Git and a real team's repository."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_devops_local.server import repository, run_queue
from tests.support.team import UNIT, Clone, git
from workshop.course.facts import EVALUATION, NEW_TRAINING, NOTEBOOKS, PREPARATION, SCORING, TRAINING

NAMES = (PREPARATION, TRAINING, EVALUATION, SCORING, NEW_TRAINING)


def notebook(text: str = "", run_name: str = "", output: bool = False) -> str:
    """Return a notebook's file."""
    code = {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": [f'run_name: str = "{run_name}"  # yours\n', "seed: int = 42"],
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}] if output else [],
    }
    cells = [{"cell_type": "markdown", "metadata": {}, "source": f"# A title\n\n{text}\n\n## Parameters"}, code]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


FILES = {
    ".azure_pipelines/workshop_unit_test.yml": UNIT,
    "README.md": "The workshop",
    **{f"{NOTEBOOKS}{name}.ipynb": notebook() for name in NAMES},
}
PATH = f"{NOTEBOOKS}{PREPARATION}.ipynb"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A participant's clone."""
    return Clone(tmp_path / "clone", FILES)


@pytest.fixture
def team(clone: Clone, home: Path) -> Iterator[Clone]:
    """The clone after `workshop devops start`, with no agent, and no pipeline started by a push."""
    with run_queue.lock("agent"):
        repository.start(clone.path)
        (repository.repository() / "hooks" / "post-receive").unlink()
        (repository.repository() / "hooks" / "pre-receive").unlink(missing_ok=True)
        yield clone


def merge(team: Clone, source: str, target: str, number: int, author: str = "Ana") -> str:
    """Merge in the team's repository as a pull request does, with its record; return the merge commit."""
    bare = repository.repository()
    tree = git(bare, "rev-parse", f"{source}^{{tree}}").stdout.strip()
    identity = ["-c", "user.name=server", "-c", "user.email=server@example.org"]
    command = [*identity, "commit-tree", tree, "-p", target, "-p", source, "-m", "merge"]
    commit = git(bare, *command).stdout.strip()
    git(bare, "update-ref", f"refs/heads/{target}", commit)
    folder = bare.parent / "pull_requests"
    folder.mkdir(exist_ok=True)
    record = {
        "id": number, "source": source, "target": target, "title": "x", "author": author, "status": "completed",
        "created": "2026-11-30T19:42:07Z", "completed_by": "Bob", "merge_commit": commit,
    }  # fmt: skip
    (folder / f"{number}.json").write_text(json.dumps(record), encoding="utf-8")
    return commit
