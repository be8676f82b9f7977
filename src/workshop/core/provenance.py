"""Which commit of the code this is, and who runs it."""

import getpass
import os
import platform
import subprocess

from workshop.core.settings import PACKAGE

_WHO_STARTED_IT = ("WORKSHOP_REQUESTED_FOR", "BUILD_REQUESTEDFOR")
_COMMIT_OF_THE_JOB = "WORKSHOP_GIT_COMMIT"


def git_commit() -> str:
    """The checked-out commit, with `-dirty` when files that git tracks differ from it, or `unknown` without git.

    Where there is no checkout, in a job on Databricks, whatever has started it says which commit it runs.
    """
    if named := os.environ.get(_COMMIT_OF_THE_JOB):
        return named
    describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        answer = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def who() -> str:
    """Who runs this: whoever started the job or the pipeline; else the user and the machine."""
    for variable in _WHO_STARTED_IT:
        if requested_for := os.environ.get(variable):
            return requested_for
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have a number and no name
        user = "somebody"
    return f"{user}@{platform.node() or 'unknown'}"
