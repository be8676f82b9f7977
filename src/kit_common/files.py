"""Files that other processes may read at any moment."""

from pathlib import Path


def write_whole(path: Path, text: str, errors: str = "strict") -> None:
    """Replace the content of a file in one step: a reader finds the old text or the new one.

    Args:
        path: the file.
        text: its new content.
        errors: as in `str.encode`, for surrogates, which UTF-8 can't encode.
    """
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text, encoding="utf-8", errors=errors)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
