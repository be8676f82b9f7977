"""Writing files that others may read at any moment."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all: whoever reads it meanwhile finds the old text or the new one.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
