"""The steps of a page: commands, edits, and the figures of its prose."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kit_common.errors import UserError

FIRST_TERMINAL = ""
_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<language>[^`]*)")
_CONTAINER = re.compile(r" *(?P<colons>:{3,})\{(?P<name>[\w-]+)\} *(?P<title>.*)")
_CLOSING = re.compile(r" *(:{3,}) *")
_OPTION = re.compile(r" *:(?P<name>[\w-]+): *(?P<value>.*)")
_CONSOLE = re.compile(r"(console|\{code-block\} *console)")
_TABS = {"Laptop": "laptop", "Azure": "azure"}
_EDITED = re.compile(r"(?P<path>\S+)(, under \"(?P<heading>[^\"]+)\")?")
_FIGURE = re.compile(r"(?<![\w.,/:-])[+-]?(\d{1,3}(,\d{3})+|\d+\.\d+(?= ?%)|\d+\.\d+|\d+(?= ?%))(?![\w/]|[.,]\d)( ?%)?")
_NOT_PROSE = re.compile(r"(`+).+?(?<!`)\1(?!`)|\]\([^)]*\)|<[^>]*>|(?<=Python )[\d.]+")


class Figure(NamedTuple):
    """A figure in the prose, and its line."""

    line: int
    text: str


@dataclass(frozen=True)
class Command:
    """A command, and the output that the page shows for it."""

    line: int
    text: str
    """Empty for what the command that still runs in this terminal prints next."""
    expected: tuple[str, ...] = ()
    terminal: str = FIRST_TERMINAL
    """The caption of the terminal that it is typed in."""
    shown: range = range(0)
    """The indexes of the lines of `expected` in the page."""
    indent: str = ""


class Place(NamedTuple):
    """A file, or the first cell of code below a heading of a notebook."""

    path: str
    heading: str = ""


@dataclass(frozen=True)
class Edit:
    """A change of a file or of a cell."""

    line: int
    place: Place
    changes: tuple[str, ...] = ()
    """Lines with the sign of a diff in front; none if the whole cell is replaced by that of `source`."""
    source: Place | None = None


Step = Command | Edit


@dataclass(frozen=True)
class Page:
    """A page of the course."""

    path: Path
    lines: tuple[str, ...]
    steps: tuple[Step, ...]
    figures: tuple[Figure, ...]
    blocks: int
    """Number of blocks with steps."""

    def at(self, line: int) -> str:
        """Return the place in the page, for a sentence."""
        return f"{self.path.parent.name}/{self.path.name}, line {line}"


class PageError(UserError):
    """A mistake in a page."""


def read_page(path: Path, tab: str = "laptop") -> Page:
    """Read a page of the course, with what is outside of tabs and in the tab of that name.

    Raises:
        PageError: a block or a tab is malformed; with page and line.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    return _Reader(path, lines, tab).read()


def figures_in(text: str) -> Iterator[str]:
    """Return the decimals, percentages and numbers with a thousands comma in a line of prose, outside of code."""
    for found in _FIGURE.finditer(_NOT_PROSE.sub(lambda code: " " * len(code.group()), text)):
        yield found.group().strip()


@dataclass
class _Container:
    colons: int
    line: int
    name: str
    title: str
    options: dict[str, str] = field(default_factory=dict)

    def is_carried_out(self, tab: str) -> bool:
        if self.name == "tab-item":
            return self.options.get("sync", _TABS.get(self.title)) == tab
        return "not-run" not in self.options.get("class", "").split()


class _Reader:
    def __init__(self, path: Path, lines: list[str], tab: str) -> None:
        self._path, self._lines, self._tab = path, lines, tab
        self._open: list[_Container] = []
        self._steps: list[Step] = []
        self._figures: list[Figure] = []
        self._blocks = 0

    def read(self) -> Page:
        at = 0
        while at < len(self._lines):
            line = self._lines[at]
            if fence := _FENCE.fullmatch(line):
                at = self._read_fence(at, fence)
            elif container := _CONTAINER.fullmatch(line):
                at = self._enter(at, container)
            else:
                if closing := _CLOSING.fullmatch(line):
                    self._leave(at, len(closing[1]))
                elif self._is_carried_out:
                    self._figures += [Figure(at + 1, text) for text in figures_in(line)]
                at += 1
        if self._open:
            raise self._error(self._open[-1].line, f"the {self._open[-1].name} is not closed")
        return Page(self._path, tuple(self._lines), tuple(self._steps), tuple(self._figures), self._blocks)

    @property
    def _is_carried_out(self) -> bool:
        return all(each.is_carried_out(self._tab) for each in self._open)

    def _error(self, at: int, problem: str) -> PageError:
        return PageError(f"{self._path.parent.name}/{self._path.name}, line {at + 1}: {problem}.")

    def _options(self, at: int, end: int) -> tuple[dict[str, str], int]:
        """Return the options of a directive, which begin at that line, and the first line after them."""
        options = {}
        while at < end and (option := _OPTION.fullmatch(self._lines[at])):
            options[option["name"]] = option["value"]
            at += 1
        return options, at

    def _enter(self, at: int, found: re.Match[str]) -> int:
        options, after = self._options(at + 1, len(self._lines))
        container = _Container(len(found["colons"]), at, found["name"], found["title"].strip(), options)
        if container.name == "tab-item":
            expected = _TABS.get(container.title)
            if expected is None or options.get("sync", expected) != expected:
                raise self._error(
                    at,
                    f"the tab {container.title!r} is unknown: write Laptop with `:sync: laptop`, or Azure with `azure`",
                )
        if self._open and self._open[-1].colons <= container.colons:
            raise self._error(at, f"a {container.name} in the {self._open[-1].name} has fewer colons than that")
        self._open.append(container)
        return after

    def _leave(self, at: int, colons: int) -> None:
        if not self._open or self._open[-1].colons != colons:
            raise self._error(at, f"no directive with {colons} colons is open here")
        self._open.pop()

    def _read_fence(self, at: int, fence: re.Match[str]) -> int:
        """Read the block that begins at that line, and return the first line after it."""
        closing = re.compile(rf" *{fence['marks'][0]}{{{len(fence['marks'])},}} *")
        end = next((each for each in range(at + 1, len(self._lines)) if closing.fullmatch(self._lines[each])), None)
        if end is None:
            raise self._error(at, "the block is not closed")
        language = fence["language"].strip()
        options, begin = self._options(at + 1, end) if language.startswith("{") else ({}, at + 1)
        content = [each.removeprefix(fence["indent"]) for each in self._lines[begin:end]]
        if _CONSOLE.fullmatch(language):
            self._read_console(begin, content, options.get("caption", FIRST_TERMINAL), fence["indent"])
        elif language == "diff":
            self._read_diff(begin, content)
        elif language.startswith("{") and any(_FENCE.fullmatch(each) for each in content):
            raise self._error(at, "a directive that contains blocks is written with colons, as in `:::{note}`")
        return end + 1

    def _add(self, steps: list[Step]) -> None:
        if self._is_carried_out:
            self._blocks += 1
            self._steps += steps

    def _read_console(self, begin: int, content: list[str], terminal: str, indent: str) -> None:
        while content and not content[0].strip():
            begin, content = begin + 1, content[1:]
        starts = [at for at, line in enumerate(content) if line.startswith("$ ")]
        steps: list[Step] = []
        if starts[:1] != [0]:
            if terminal == FIRST_TERMINAL or not content or starts:
                raise self._error(begin, "a console block begins with a command, as in `$ make setup`")
            shown = range(begin, begin + len(content))
            steps.append(Command(begin + 1, "", tuple(content), terminal, shown, indent))
        for start, end in pairwise([*starts, len(content)]):
            last = start
            while content[last].endswith("\\"):
                last += 1
                if last >= end:
                    raise self._error(begin + start, "the command ends with a backslash: continue it in the next line")
            text = "\n".join(content[start : last + 1]).removeprefix("$ ")
            while end > last + 1 and not content[end - 1].strip():
                end -= 1  # noqa: PLW2901  # blank lines before the next command are not part of the output
            shown = range(begin + last + 1, begin + end)
            expected = tuple(content[last + 1 : end])
            steps.append(Command(begin + start + 1, text, expected, terminal, shown, indent))
        self._add(steps)

    def _read_diff(self, begin: int, content: list[str]) -> None:
        heads = [line for line in content[:2] if line.startswith(("--- ", "+++ "))]
        places = [_EDITED.fullmatch(head[4:].strip()) for head in heads]
        if [head[0] for head in heads] not in (["-"], ["-", "+"]) or None in places:
            raise self._error(
                begin, 'an edit begins with its place, as in `--- part_1_1_data_prep.ipynb, under "Load and validate"`'
            )
        place, *others = [Place(found["path"], found["heading"] or "") for found in places if found]
        changes = tuple(content[len(heads) :])
        for number, line in enumerate(changes, begin + len(heads)):
            if line and line[0] not in "+- ":
                raise self._error(number, "a line of an edit begins with `+`, `-` or a blank")
        new_file = place.path == "/dev/null"
        if not (others and changes) if new_file else bool(others) == bool(changes):
            raise self._error(begin, "an edit has lines with `+` and `-`, or `+++` and the cell to copy")
        if new_file:
            self._add([Edit(begin + 1, others[0], changes, source=place)])
        else:
            self._add([Edit(begin + 1, place, changes, others[0] if others else None)])
