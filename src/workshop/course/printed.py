"""Printed output compared with the output in a page, without what differs between two runs."""

import re
from collections.abc import Iterable, Sequence

ANY = "…"
"""A line for any number of lines, or within a line any text."""
_MASKS = [
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b\d{8}T\d{6}(\.\d+)?Z?\b", "<time>"),  # in the names of run folders
        (r"\b\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?( ?(UTC|Z|[+-]\d\d:?\d\d)\b)?", "<time>"),
        (r"\b\d\d:\d\d(:\d\d(\.\d+)?)?\b( UTC\b)?", "<time>"),
        (
            r"(\b\d+(\.\d+)?(e-\d+)? ?(milliseconds?|ms|seconds?|sec|s|minutes?|min|hours?|h|days?)\b,? ?)+",
            "<duration> ",
        ),
        (r"\b\d+(\.\d+)? ?([kMG]i?B|bytes)\b", "<size>"),
        (r"(127\.0\.0\.1|localhost|\[::1\]):\d+\b", "<address>"),
        (r"\b(port|pid|process) \d+\b", r"<\1>"),
        (r"(?<![\w.~:/>])(/[\w.@+~-]+){2,}/?", "<path>"),
        (r"\b[0-9a-f]{7,64}\b(?!\.\d)", "<digest>"),
        (r"\bPython \d+(\.\d+)+\w*", "Python <version>"),
        (r"==\d[\w.+-]*", "==<version>"),
        (r"(?<![\w.])v?\d+\.\d+\.\d+([.+-]?\w+)*", "<version>"),
        (r"[-─━═╌]{3,}", "─"),  # as wide as the column of a table
        (r"\s+", " "),
    )
]


def masked(line: str) -> str:
    """Return a line without times, durations, digests, ports, absolute paths, sizes and versions of packages.

    AUC figures and version numbers of models stay.
    """
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line.strip()


def matches(expected: Sequence[str], printed: Sequence[str], only_begun: bool = False) -> bool:
    """Return whether the printed lines are those of the page, apart from what is masked.

    Args:
        expected: the lines of the page.
        printed: the printed lines.
        only_begun: whether further lines may follow.
    """
    return first_difference(expected, printed, only_begun) is None


def first_difference(
    expected: Sequence[str], printed: Sequence[str], only_begun: bool = False
) -> tuple[int, str] | None:
    """Return the index of the first expected line that is not printed, and the line printed in its place.

    The index is `len(expected)` for a line that the page does not have; the printed line is empty for a missing one.
    """
    ends = {0}
    """The numbers of printed lines that the expected ones so far can account for."""
    for at, line in enumerate(expected):
        if line.strip() == ANY:
            following = set(range(min(ends), len(printed) + 1))
        else:
            following = {end + 1 for end in ends if end < len(printed) and _is_line(line, printed[end])}
        if not following:
            return at, _of(printed, min(ends))
        ends = following
    if only_begun or len(printed) in ends:
        return None
    return len(expected), _of(printed, max(ends))


def rewritten(expected: Sequence[str], printed: Sequence[str]) -> list[str]:
    """Return the lines that a page shows for this output: those that match stay, also a `…` between two that match."""
    if matches(expected, printed):
        return list(expected)
    kept = _aligned(expected, printed)
    lines = {at: expected[index] for index, at in kept.items()}
    shown = [lines.get(at, line) for at, line in enumerate(printed)]
    for index in reversed([index for index, line in enumerate(expected) if line.strip() == ANY]):
        before = -1 if index == 0 else kept.get(index - 1)
        after = len(printed) if index == len(expected) - 1 else kept.get(index + 1)
        if before is not None and after is not None:
            shown[before + 1 : after] = [expected[index]]
    return shown


def is_in(figure: str, outputs: str) -> bool:
    """Return whether a figure of the prose occurs in the outputs, with or without a thousands comma or a blank."""
    number = figure.removesuffix("%").strip().lstrip("+-")
    forms = {number, number.replace(",", "")}
    percent = r" ?%" if figure.endswith("%") else ""
    return any(
        re.search(rf"(?<![\d.,]){re.escape(form.lstrip('+'))}(?![\d]|[.,]\d){percent}", outputs) for form in forms
    )


def _of(lines: Sequence[str], at: int) -> str:
    return lines[at] if at < len(lines) else ""


def _is_line(expected: str, printed: str) -> bool:
    if ANY not in expected:
        return masked(expected) == masked(printed)
    pieces = expected.strip().split(ANY)
    literally = ".*".join(map(re.escape, pieces))
    apart_from_masks = r"\s*.*\s*".join(re.escape(masked(piece)) for piece in pieces)
    return bool(re.fullmatch(literally, printed.strip()) or re.fullmatch(apart_from_masks, masked(printed)))


def _aligned(expected: Sequence[str], printed: Sequence[str]) -> dict[int, int]:
    """Return the indexes of the printed lines by those of the expected ones: as many as match in the same order."""
    lengths = [[0] * (len(printed) + 1) for _ in range(len(expected) + 1)]
    same = [[line.strip() != ANY and _is_line(line, each) for each in printed] for line in expected]
    for index, at in _backwards(expected, printed):
        longer = lengths[index + 1][at + 1] + 1 if same[index][at] else 0
        lengths[index][at] = max(longer, lengths[index + 1][at], lengths[index][at + 1])
    kept, index, at = {}, 0, 0
    while index < len(expected) and at < len(printed):
        if same[index][at] and lengths[index][at] == lengths[index + 1][at + 1] + 1:
            kept[index] = at
            index, at = index + 1, at + 1
        elif lengths[index + 1][at] >= lengths[index][at + 1]:
            index += 1
        else:
            at += 1
    return kept


def _backwards(expected: Sequence[str], printed: Sequence[str]) -> Iterable[tuple[int, int]]:
    return ((index, at) for index in reversed(range(len(expected))) for at in reversed(range(len(printed))))
