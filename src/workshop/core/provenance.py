"""Which commit of the code this is, and who runs it."""

import getpass
import os
import platform
import subprocess

from workshop.core.settings import PACKAGE

_WHO_STARTED_THE_PIPELINE = "BUILD_REQUESTEDFOR"


def git_commit() -> str:
    """The checked-out commit, with `-dirty` when files that git tracks differ from it, or `unknown` without git."""
    describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        answer = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def who() -> str:
    """Who runs this: whoever started the pipeline, on a build agent; else the user and the machine."""
    if requested_for := os.environ.get(_WHO_STARTED_THE_PIPELINE):
        return requested_for
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have a number and no name
        user = "somebody"
    return f"{user}@{platform.node() or 'unknown'}"
