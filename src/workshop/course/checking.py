"""The states of the criteria, as a report for a terminal and as JSON for programs."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kit_common.errors import UsageError
from workshop.course.criteria import part_0, part_1, part_2, part_3, part_4, part_5
from workshop.course.criterion import Criterion, Finding, State, suggested_branch
from workshop.course.facts import Facts, Unseen

PARTS: tuple[tuple[Criterion, ...], ...] = tuple(
    part.CRITERIA for part in (part_0, part_1, part_2, part_3, part_4, part_5)
)
SIGNS: dict[State, str] = {"met": "✓", "not yet": "✗", "can't tell": "?"}
COLOURS: dict[State, str] = {"met": "green", "not yet": "yellow", "can't tell": "magenta"}
_STATUS: dict[State, str] = {"met": "pass", "not yet": "fail", "can't tell": "error"}
_VERSION = 3
"""Of exercism's test-runner interface, whose fields these are."""
LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class Line:
    """A criterion with its state."""

    part: int
    criterion: Criterion
    finding: Finding

    @property
    def counts(self) -> bool:
        """Whether the part is unfinished because of it."""
        return self.finding.state != "met" and not self.criterion.optional


def judge(facts: Facts, part: int | None = None) -> list[Line]:
    """Return the state of each criterion of a part, or of all parts."""
    chosen = range(len(PARTS)) if part is None else [part]
    return [Line(number, each, each.judge(facts)) for number in chosen for each in PARTS[number]]


def is_complete(lines: Iterable[Line]) -> bool:
    """Return whether every criterion that is not optional is met."""
    return not any(line.counts for line in lines)


def as_text(lines: list[Line]) -> Iterator[tuple[str, State | None]]:
    """Yield the lines of the report on one part, each with the state that colours its first letter."""
    for line in lines:
        optional = " (optional)" if line.criterion.optional else ""
        yield f"{SIGNS[line.finding.state]} {line.criterion.id}{optional}: {line.finding.sentence}", line.finding.state
        if line.finding.state == "met":
            yield f"    {line.criterion.why}", None
    yield "", None
    yield conclusion(lines), None


def overview(lines: list[Line]) -> Iterator[tuple[str, State | None]]:
    """Yield a line for each part, and the one next thing to do."""
    for part in range(len(PARTS)):
        own = [line for line in lines if line.part == part]
        states = {line.finding.state for line in own if line.counts}
        state: State = "not yet" if "not yet" in states else "can't tell" if states else "met"
        counted = [line for line in own if not line.criterion.optional]
        done = sum(line.finding.state == "met" for line in counted)
        unseen = sum(line.finding.state == "can't tell" for line in counted)
        note = f", {unseen} can't be told" if unseen else ""
        optional = [line for line in own if line.criterion.optional]
        extra = sum(line.finding.state == "met" for line in optional)
        more = f" (and {extra} of {len(optional)} optional)" if optional else ""
        yield f"{SIGNS[state]} Part {part}: {done} of {len(counted)}{more} criteria are met{note}.", state
    yield "", None
    yield conclusion(lines), None


def conclusion(lines: list[Line]) -> str:
    """Return the next thing to do, or that all of it is done."""
    following = next((line for line in lines if line.counts), None)
    parts = sorted({line.part for line in lines})
    if following is not None:
        sentence, name = following.finding.sentence, following.criterion.id
        return f"Next, in Part {following.part}, {name}: {sentence} More: `workshop hint {name}`."
    if len(parts) > 1:
        return "All criteria of all parts are met: the course is done."
    last = parts[0] == len(PARTS) - 1
    return f"Part {parts[0]} is done." + ("" if last else f" Next: Part {parts[0] + 1}, docs/part_{parts[0] + 1}.md.")


def as_json(lines: list[Line]) -> dict[str, Any]:
    """Return the report after exercism's test-runner interface, version 3."""
    states = {line.finding.state for line in lines if line.counts}
    worst: State = "can't tell" if "can't tell" in states else "not yet" if states else "met"
    return {
        "version": _VERSION,
        "status": _STATUS[worst],
        "message": conclusion(lines),
        "tests": [
            {
                "name": line.criterion.id,
                "status": _STATUS[line.finding.state],
                "message": line.finding.sentence,
                "task_id": line.part,
            }
            for line in lines
        ],
    }


def hint(name: str, level: int, facts: Facts) -> str:
    """Return a hint of a criterion, with the participant's branch: 1 is a nudge, 3 is the solution.

    Raises:
        UsageError: no criterion has that name.
    """
    known = {each.id: each for part in PARTS for each in part}
    if name not in known:
        raise UsageError(f"There is no criterion {name}: choose one of {', '.join(known)}.")
    with suppress(Unseen):
        return known[name].hints[level - 1].replace("dev-ana", facts.person.branch or suggested_branch(facts))
    return known[name].hints[level - 1]


def as_markdown(part: int) -> str:
    """Return the criteria of a part as its page prints them."""
    return "\n".join(
        f"- **`{each.id}`**: {each.title}{' *(optional)*' if each.optional else ''}" for each in PARTS[part]
    )


def with_criteria(page: str, part: int) -> str:
    """Return a page with its part's criteria between the two comments.

    Raises:
        UsageError: the page does not have the comments exactly once, in this order.
    """
    begin, end = "<!-- criteria -->\n", "<!-- /criteria -->"
    before, first, rest = page.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second or begin in rest or end in after:
        raise UsageError(f"The page of Part {part} needs one line {begin.strip()} and, after it, one {end}.")
    return f"{before}{begin}\n{as_markdown(part)}\n\n{end}{after}"
