"""Files that other processes may read at any moment."""

from pathlib import Path


def write_whole(path: Path, text: str, errors: str = "strict") -> None:
    """Write a file whole or not at all: a reader finds the old text or the new one.

    Args:
        path: of the file.
        text: its new content.
        errors: as in `str.encode`, for half of a surrogate pair, which no file can hold.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text, encoding="utf-8", errors=errors)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
