"""The package's own command line, in a repository that has nothing of the kit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.team import git

PIPELINE = """\
trigger: [main]
parameters:
- {name: who, default: world}
steps:
- script: echo "hello ${{ parameters.who }} on $(Agent.Name), $(Build.SourceBranchName)"
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "azure-pipelines.yml").write_text(PIPELINE, encoding="utf-8")
    (folder / ".gitignore").write_text(".azure_devops_local\n", encoding="utf-8")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ana", "-c", "user.email=a@b", "commit", "--quiet", "--message", "begin")
    return folder


def call(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKSHOP_")}
    command = [sys.executable, "-m", "azure_devops_local", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.integration
def test_any_repository_with_a_pipeline_will_do(elsewhere: Path) -> None:
    checked = call(elsewhere, "check")
    assert (checked.returncode, "in order" in checked.stdout) == (0, True), checked.stderr
    started = call(elsewhere, "triggered", "--branch", "main", "--changed", "README.md", "--json")
    assert '"azure-pipelines.yml"' in started.stdout
    done = call(elsewhere, "run", "azure-pipelines.yml", "--param", "who=moon")
    assert done.returncode == 0, done.stdout + done.stderr
    log = max((elsewhere / ".azure_devops_local/runs/1/logs").iterdir())
    assert log.read_text(encoding="utf-8").endswith("hello moon on azure_devops_local, main\n")
    refused = call(elsewhere, "run", "other.yml")
    assert (refused.returncode, "has no pipeline other.yml" in refused.stderr) == (2, True), refused.stderr
