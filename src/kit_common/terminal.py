"""Sentences on a terminal."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_text(console: "Console", text: str, *, style: str = "", markup: bool = False) -> None:
    """Print text: on a terminal wrapped between words, in a file or pipe as it is.

    A word that is longer than a line, such as a path, is left to the terminal, so that it can be copied in one piece.
    """
    from rich.text import Text  # noqa: PLC0415  # half of the command line's start

    shown = Text.from_markup(text, style=style, emoji=False) if markup else Text(text, style=style)
    if console.is_terminal:
        shown.plain = _wrapped(shown.plain, console.width)
    console.print(shown, soft_wrap=True)


def _wrapped(text: str, width: int) -> str:
    """Replace blanks by line ends so that no line is wider than that, unless it is one word."""
    from rich.cells import cell_len  # noqa: PLC0415  # as above

    characters, line = list(text), 0
    for word in re.finditer(r"[^ \n]+", text):
        start = word.start()
        line = max(line, text.rfind("\n", 0, start) + 1)
        if start > line and cell_len(text[line : word.end()]) > width:
            characters[start - 1] = "\n"
            line = start
    return "".join(characters)
