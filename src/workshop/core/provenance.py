"""The commit of the code, and the person or pipeline that runs it."""

import getpass
import os
import platform
import re

from kit_common import git
from kit_common.errors import UserError
from workshop.core.settings import PACKAGE

_REQUESTED_FOR = ("WORKSHOP_REQUESTED_FOR", "BUILD_REQUESTEDFOR")
_SECONDS = 30
UNKNOWN = "unknown"
_RECORDED = f"The commit of the code is recorded as `{UNKNOWN}`"
_COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty)?")
_COMMIT_OF_THE_JOB = "WORKSHOP_GIT_COMMIT"


def git_commit() -> str:
    """Return the commit of this code, with `-dirty` if tracked files differ from it, or `unknown`."""
    return find_commit()[0]


def find_commit() -> tuple[str, str]:
    """Return the commit as in `git_commit`, and a sentence on why it is unknown; empty if it is known.

    In a job on Databricks, which has no checkout, an environment variable contains the commit.
    """
    if named := os.environ.get(_COMMIT_OF_THE_JOB):
        return checked_commit(named, f"the environment variable {_COMMIT_OF_THE_JOB}")
    try:
        tracked = git.run(PACKAGE, "ls-files", "-z", timeout=_SECONDS)
        found = git.run(PACKAGE, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty", timeout=_SECONDS)
    except UserError as error:
        return UNKNOWN, f"{_RECORDED}. {error}"
    if failed := next((each for each in (tracked, found) if each.returncode), None):
        return UNKNOWN, f"{_RECORDED}. Git does not work in {PACKAGE}: {git.reason(failed)}."
    if not tracked.stdout:  # a repository around it, such as that of a project whose .venv contains the kit
        return (
            UNKNOWN,
            f"{_RECORDED}: no Git repository tracks {PACKAGE}. Run the kit from its clone to record it.",
        )
    return found.stdout.decode().strip(), ""


def checked_commit(named: str, place: str) -> tuple[str, str]:
    """Return the commit that a run on Databricks received, and why it is unknown, as `find_commit` does.

    Args:
        named: the value.
        place: what contained it.
    """
    if _COMMIT.fullmatch(named):
        return named, ""
    return UNKNOWN, f"{_RECORDED}: {place} is not {'a commit' if named else 'set'}."


def who() -> str:
    """Return the person who requested the job or the pipeline, or else the user and the machine."""
    for variable in _REQUESTED_FOR:
        if requested_for := os.environ.get(variable):
            return requested_for
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have a number and no name
        user = "somebody"
    return f"{user}@{platform.node() or 'unknown'}"
