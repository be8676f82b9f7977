"""`workshop doctor` on a workspace, and the commits of its checkout."""

import json
import os
import subprocess

import pytest
from typer.testing import CliRunner

from databricks_local.workspace import Workspace
from workshop.cli.doctor import app
from workshop.databricks import upload

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "main.workshop.wine_quality"
CHECKS = (
    *("databricks-sdk", "versions", "settings", "clock", "sign-in", "service principal", "compute", "code"),
    *("workspace folder", "experiments", "catalog", "schema", "volume", "tables", "wines", "model"),
)


def doctor(*arguments: str, model: str = MODEL) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of the command and its findings by their checks."""
    done = CliRunner().invoke(app, ["--json", "--model", model, *arguments])
    found = json.loads(done.output)
    assert found["target"] == "databricks"
    assert found["ok"] is (done.exit_code == 0)
    return done.exit_code, {finding["check"]: finding for finding in found["findings"]}


def git(*arguments: str) -> str:
    """Run Git in the repository that stands for the checkout."""
    done = subprocess.run(
        ["git", "-C", str(upload._CHECKOUT), *arguments], capture_output=True, text=True, check=True, input=""
    )
    return done.stdout.strip()


def commit_not_pushed(there: Workspace, env: pytest.MonkeyPatch) -> None:
    """Set a commit in a repository of its own, which Git takes for the checkout's."""
    repository = there.root.parent / "repository"
    repository.mkdir(exist_ok=True)
    env.setattr(upload, "_CHECKOUT", repository)
    for role in ("AUTHOR", "COMMITTER"):
        env.setenv(f"GIT_{role}_NAME", "Ada")
        env.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    git("init", "--quiet", "--bare")
    env.setenv("WORKSHOP_GIT_COMMIT", git("commit-tree", "-m", "First", git("mktree")))
    env.setenv("WORKSHOP_DATABRICKS_CODE", "git")
    env.setenv("WORKSHOP_DATABRICKS_GIT_URL", "https://dev.azure.com/our-organization/workshop/_git/workshop")


def commit_pushed(there: Workspace, env: pytest.MonkeyPatch) -> None:
    """Set such a commit that a remote branch contains."""
    commit_not_pushed(there, env)
    git("update-ref", "refs/remotes/origin/main", os.environ["WORKSHOP_GIT_COMMIT"])
