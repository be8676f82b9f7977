"""Which commit of the code this is."""

import subprocess

from workshop.core.settings import PACKAGE


def git_commit() -> str:
    """The checked-out commit, with `-dirty` when files that git tracks differ from it, or `unknown` without git."""
    describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        answer = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
