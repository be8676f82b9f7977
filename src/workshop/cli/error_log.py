"""Any error of a command as one sentence; an unexpected one also leaves its traceback in a log file."""

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from kit_common.errors import UserError
from kit_common.sanitize import first_sentence, without_tokens
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings


def explain(error: Exception) -> UserError:
    """Return the sentence for an error that ended a command."""
    if isinstance(error, UserError):
        return error
    return explain_os_error(error) if isinstance(error, OSError) else _unexpected(error)


def _unexpected(error: Exception) -> WorkshopError:
    """Write the traceback to a log file, and return the sentence that names the file."""
    text = without_tokens("".join(traceback.format_exception(error)))
    log = next((written for write in (_in_home, _in_temporary_folder) if (written := write(text))), None)
    what = f"{type(error).__name__}: {first_sentence(error)}" if str(error).strip() else type(error).__name__
    return WorkshopError(
        f"An error that the kit does not expect ended the command ({what}): report it with the traceback in {log}."
        if log
        else f"An error that the kit does not expect ended the command ({what}), and its log could not be written: "
        "make space in the temporary folder, then run it again."
    )


def _in_home(text: str) -> Path | None:
    try:
        return _written(current_settings().home / "errors", text)
    except (OSError, WorkshopError):
        return None


def _in_temporary_folder(text: str) -> Path | None:
    try:
        return _written(Path(tempfile.gettempdir()), text)
    except OSError:
        return None


def _written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"workshop-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-"
    handle, name = tempfile.mkstemp(".log", prefix, folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)
