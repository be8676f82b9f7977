"""Logging commands of Azure DevOps, one per line, for the result of `workshop run`."""

import json
from pathlib import Path
from typing import Any, Literal

from workshop.core.errors import WorkshopError
from workshop.core.promotion.outcome import MEANINGS

PUBLISHED = "delivery.published"
"""Variable that is set once there is something to publish, for the conditions of later steps."""
_DATA = {"%": "%AZP25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {";": "%3B", "]": "%5D"}


def announce(folder: Path, not_better: Literal["error", "warning"] = "error") -> tuple[list[str], int]:
    """Return the lines that report the run published to `folder`, and the exit code to end with.

    Args:
        folder: the folder of `workshop run --publish FOLDER`.
        not_better: the issue for a new model that is not better; with `warning` the exit code is 0.

    Raises:
        WorkshopError: the folder contains no run.
    """
    summary = published(folder)
    code, sentence = int(summary["exit_code"]), str(summary.get("sentence", ""))
    lines = [command("task.setvariable", "true", variable=PUBLISHED)]
    if (folder / "summary.md").is_file():
        lines.append(command("task.uploadsummary", str((folder / "summary.md").absolute())))
    lines.append(command("build.addbuildtag", str(summary.get("status", ""))))
    if code == MEANINGS["not better"].exit_code:
        reason = str(((summary.get("outcome") or {}).get("decision") or {}).get("reason", ""))
        lines.append(command("task.logissue", f"{sentence} {reason}".strip(), type=not_better))
        if not_better == "warning":
            return [*lines, command("task.complete", sentence, result="SucceededWithIssues")], 0
    elif code:
        lines.append(command("task.logissue", sentence, type="error"))
    return lines, code


def for_pull_request(folder: Path, source: str, target: str) -> tuple[str, str]:
    """Return title and description of a pull request for the run published to `folder`.

    Raises:
        WorkshopError: the folder contains no run, or the run made no decision.
    """
    summary = published(folder)
    if not summary.get("outcome"):
        raise WorkshopError(
            f"The run in {folder} has made no decision, so there is nothing to propose: include the notebook 1_3."
        )
    markdown = folder / "decision.md"
    description = markdown.read_text(encoding="utf-8") if markdown.is_file() else str(summary.get("sentence", ""))
    result = str(summary.get("sentence", "")).partition(";")[0].rstrip(".")
    return result or f"{source} into {target}", description


def published(folder: Path) -> dict[str, Any]:
    """Return the `summary.json` of a published run.

    Raises:
        WorkshopError: the file is missing, or `workshop run` did not write it.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorkshopError(f"{folder} contains no run: `workshop run --publish {folder}` writes one there.") from error
    except ValueError as error:
        raise WorkshopError(f"{path} can't be read: publish the run again.") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("exit_code"), int):
        raise WorkshopError(f"{path} is not a summary of `workshop run`: publish the run again.")
    return summary


def command(name: str, text: str, **properties: str) -> str:
    """Return a logging command whose values can neither end it nor begin another one.

    The result is one line; the agent reads only the command at its first `##vso[`.
    """
    pairs = "".join(f"{key}={_escaped(value, _PROPERTY)};" for key, value in properties.items())
    return f"##vso[{name}{' ' if pairs else ''}{pairs}]{_escaped(text, _DATA)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in text)
