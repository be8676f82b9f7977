"""Git commands whose failure is an error."""

from pathlib import Path

from workshop.core.errors import WorkshopError
from workshop.core.git import reason, run

__all__ = ["ask", "run"]


def ask(place: Path, *arguments: str, given: str = "", **environment: str) -> str:
    """What a Git command prints, without the last line end.

    Raises:
        WorkshopError: it failed; with Git's reason.
    """
    done = run(place, *arguments, given=given.encode(), timeout=None, **environment)
    if done.returncode != 0:
        raise WorkshopError(f"`git {arguments[0]}` failed: {reason(done)}.")
    return done.stdout.decode(errors="replace").rstrip("\n")
