"""What `workshop run` found, said to Azure DevOps in its own words: logging commands, one a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workshop.core.errors import WorkshopError

NOT_BETTER = 3
PUBLISHED = "delivery.published"
"""The variable by which later steps know that there is something to publish."""
_DATA = {"%": "%AZP25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {";": "%3B", "]": "%5D"}


def announce(folder: Path, not_better: str = "error") -> tuple[list[str], int]:
    """The lines to print about the run that was published to `folder`, and the exit code to end with.

    Args:
        folder: what `workshop run --publish FOLDER` left.
        not_better: `error` or `warning`, for a new model that is not better; with `warning` the exit code is then 0.

    Raises:
        WorkshopError: the folder holds no run.
    """
    found = published(folder)
    code = int(found["exit_code"])
    tolerated = code == NOT_BETTER and not_better == "warning"
    return list(_lines(folder, found, code, tolerated)), 0 if tolerated else code


def for_pull_request(folder: Path, source: str, target: str) -> tuple[str, str]:
    """Title and description of a pull request about the run that was published to `folder`.

    Raises:
        WorkshopError: the folder holds no run, or the run has made no decision.
    """
    found = published(folder)
    if not found.get("outcome"):
        raise WorkshopError(f"The run in {folder} has made no decision, so there is nothing to propose: run 1_3 in it.")
    markdown = folder / "decision.md"
    description = markdown.read_text(encoding="utf-8") if markdown.is_file() else str(found.get("sentence", ""))
    return f"{source} into {target}: {found.get('status', '')}", description


def published(folder: Path) -> dict[str, Any]:
    """The `summary.json` of a run that was published.

    Raises:
        WorkshopError: there is none, or it is none of `workshop run`.
    """
    path = folder / "summary.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorkshopError(
            f"There is no run in {folder}: `workshop run --publish {folder}` puts one there."
        ) from error
    except ValueError as error:
        raise WorkshopError(f"{path} can't be read: publish the run again.") from error
    if not isinstance(found, dict) or not isinstance(found.get("exit_code"), int):
        raise WorkshopError(f"{path} is no summary of `workshop run`: publish the run again.")
    return found


def command(name: str, text: str, **properties: str) -> str:
    """A logging command; nothing in the values can end it or begin another one.

    A command is recognised only at the first `##vso[` of a line, and there is only one line.
    """
    given = "".join(f"{key}={_escaped(value, _PROPERTY)};" for key, value in properties.items())
    return f"##vso[{name}{' ' if given else ''}{given}]{_escaped(text, _DATA)}"


def _lines(folder: Path, found: dict[str, Any], code: int, tolerated: bool) -> Iterator[str]:
    sentence = str(found.get("sentence", ""))
    yield command("task.setvariable", "true", variable=PUBLISHED)
    if (folder / "summary.md").is_file():
        yield command("task.uploadsummary", str((folder / "summary.md").absolute()))
    yield command("build.addbuildtag", str(found.get("status", "")))
    if code == 0:
        return
    if code == NOT_BETTER:
        reason = str(((found.get("outcome") or {}).get("decision") or {}).get("reason", ""))
        kind = "warning" if tolerated else "error"
        yield command("task.logissue", f"{sentence} {reason}".strip(), type=kind)
    else:
        yield command("task.logissue", sentence, type="error")
    if tolerated:
        yield command("task.complete", sentence, result="SucceededWithIssues")


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in text)
