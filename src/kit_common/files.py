"""Writing files that others may read at any moment."""

from pathlib import Path


def write_whole(path: Path, text: str, errors: str = "strict") -> None:
    """Write a file whole or not at all: whoever reads it meanwhile finds the old text or the new one.

    Args:
        path: of the file.
        text: its content from now on.
        errors: what becomes of half of a surrogate pair, which no file can hold; as in `str.encode`.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text, encoding="utf-8", errors=errors)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
