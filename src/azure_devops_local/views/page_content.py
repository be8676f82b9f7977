"""Foreign content of pages: logs, Markdown and pictures, made safe to show."""

import base64
import mimetypes
import posixpath
import re
from collections import deque
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from kit_common.sanitize import visible

LINES_SHOWN = 2_000
_LONGEST_LINE = 4_000
_LARGEST_PICTURE = 8 * 2**20
_LONGEST_BEGINNING = 2_000
_MARKED = re.compile(r"(?P<time>\S+Z )?##\[(?P<kind>\w+)\](?P<text>.*)", re.DOTALL)


class Log(NamedTuple):
    """The end of a step's log."""

    lines: list[tuple[str, str]]
    """Kind (error, section, …, or empty) and text of each line."""
    left_out: int
    """Number of lines before these."""


def inside(folder: Path, name: str) -> Path | None:
    """Return the file of that name below the folder; None if it is missing, or the name leads out of the folder."""
    try:
        file = (folder / name).resolve()
        return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
    except (OSError, ValueError):  # too long for the file system, or not a path
        return None


def log(folder: Path, name: str) -> Log | None:
    """Return the end of a log; None if no such file is below the folder."""
    file = inside(folder, name)
    if file is None:
        return None
    last: deque[str] = deque(maxlen=LINES_SHOWN)
    count = 0
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            last.append(line)
            count += 1
    return Log([_line(line) for line in last if "##[endgroup]" not in line], count - len(last))


def beginning(folder: Path, name: str) -> str:
    """Return the first heading or paragraph of a Markdown file, as text; empty if there is none."""
    file = inside(folder, name)
    if file is None:
        return ""
    with file.open(encoding="utf-8", errors="replace") as summary:  # it may contain a picture
        tokens = MarkdownIt("commonmark", {"html": False}).parse(visible(summary.read(_LONGEST_BEGINNING)))
    lines = [token for token in tokens if token.type == "inline"]
    return "".join(child.content for child in lines[0].children or []) if lines else ""


def for_terminal(text: str) -> str:
    """Return the Markdown with each picture replaced by its description."""
    return re.sub(r"!\[([^\]]*)\]\([^)\s]*\)", r"(picture: \1)", visible(text))


def markdown(text: str, folder: Path | None = None, where: str = "") -> Markup:
    """Return Markdown as HTML: HTML in the Markdown is escaped, and pictures are embedded.

    Args:
        text: the Markdown.
        folder: pictures from outside of this folder are left out; without it, all pictures.
        where: path, from that folder, to which the pictures' paths are relative.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = reader.parse(visible(text))
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"  # below the headings of the page around it
        if style := str(token.attrs.pop("style", "")):
            token.attrs["class"] = style.replace("text-align:", "to-the-")  # the page's policy allows no styles inline
        token.children = token.children and [_picture(child, folder, where) for child in token.children]
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _line(raw: str) -> tuple[str, str]:
    text = visible(raw.rstrip("\r\n").rpartition("\r")[2])  # a progress bar overwrites its line
    if len(text) > _LONGEST_LINE:
        text = f"{text[:_LONGEST_LINE]} … ({len(text) - _LONGEST_LINE:,} more characters)"
    marked = _MARKED.match(text)
    if not marked:
        return "debug" if "##vso[" in text else "", text
    kind = marked["kind"]
    return kind, text if kind in {"error", "warning"} else f"{marked['time'] or ''}{marked['text']}"


def _picture(token: Token, folder: Path | None, where: str) -> Token:
    if token.type != "image" or str(token.attrs["src"]).startswith("data:image/"):
        return token
    name = posixpath.join(where, unquote(str(token.attrs["src"])))
    file = inside(folder, name) if folder else None
    kind = (mimetypes.guess_type(name)[0] or "") if file else ""
    if file is None or not kind.startswith("image/") or file.stat().st_size > _LARGEST_PICTURE:
        return Token("text", "", 0, content=f"[picture: {token.content}]")
    token.attrs["src"] = f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    return token
