"""A clone from which the team's repository is created, and a person's commits in it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

UNIT = """\
trigger:
  branches: {exclude: [main, integration]}
  paths: {include: [code/**]}
steps:
- script: echo tested
"""
FILES = {
    ".azure_pipelines/workshop_unit_test.yml": UNIT,
    ".azure_pipelines/ci.yml": "trigger:\n  branches: {include: [integration]}\nsteps:\n- script: echo integrated\n",
    ".azure_pipelines/cd.yml": "trigger:\n  branches: {include: [main]}\nsteps:\n- script: echo delivered\n",
    "code/train.py": "print('trained')\n",
}


def git(place: Path, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run Git, and return the finished process."""
    command = ["git", "-C", str(place), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=check, timeout=60)


class Clone:
    """A clone with some commits."""

    def __init__(self, path: Path, files: Mapping[str, str] = FILES) -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--initial-branch=main")
        git(path, "config", "user.name", "Ana")
        git(path, "config", "user.email", "ana@example.org")
        git(path, "config", "commit.gpgsign", "false")
        if files:
            self.commit(files, "begin")

    def commit(self, files: Mapping[str, str], message: str = "change", branch: str = "") -> str:
        """Write the files and commit them, on a new branch if one is named; return the commit."""
        if branch:
            git(self.path, "switch", "--quiet", "--create", branch)
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        git(self.path, "add", "--all")
        git(self.path, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.head()

    def head(self) -> str:
        """Return the commit that is checked out."""
        return git(self.path, "rev-parse", "HEAD").stdout.strip()

    def push(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Push to the team's repository, which may fail."""
        return git(self.path, "push", "workshop", *(arguments or ["HEAD"]), check=False)
