"""Code, as a run on Databricks takes it: a commit, even where a developer has not committed yet."""

import subprocess

import pytest

from workshop.core.settings import PACKAGE

_CHECKOUT = PACKAGE.parents[1]


def git(*arguments: str) -> str:
    """What Git says in this checkout."""
    command = ["git", "-C", str(_CHECKOUT), "-c", "user.name=tests", "-c", "user.email=tests@example.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def commit() -> str:
    """A commit of what the checkout's tracked files are now; the checked-out one where nothing differs from it."""
    return git("stash", "create") or git("rev-parse", "HEAD")
