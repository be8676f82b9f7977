"""`workshop check` and `workshop hint`: what of the course is done, and what is next."""

import json
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from kit_common.errors import UsageError
from kit_common.sanitize import visible
from kit_common.terminal import print_text
from workshop.cli.options import AsJson

if TYPE_CHECKING:
    from workshop.course.checking import Line
    from workshop.course.facts import Facts

app = typer.Typer()
out = Console()
_PAUSE = 1.0
_LAST_PART, _LAST_LEVEL = 5, 3

As = Annotated[str, typer.Option("--as", metavar="BRANCH", help="The participant, as dev-ana or ana.")]


@app.command()
def check(
    part: Annotated[
        int | None, typer.Argument(min=0, max=_LAST_PART, help="The part; an overview of all if left out.")
    ] = None,
    participant: As = "",
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Print again what changes, until Ctrl-C.")] = False,
) -> None:
    """Check what of the course you have done, and print what is next; writes nothing."""
    if watch and as_json:
        raise UsageError("--watch prints for people, and --json for programs: choose one of them.")
    from workshop.course import checking

    lines = checking.judge(_facts(participant), part)
    if as_json:
        print(json.dumps(checking.as_json(lines), indent=2, ensure_ascii=False))
    else:
        _print(lines, part)
    if watch:
        _watch(lines, part, participant)
    sys.exit(0 if checking.is_complete(lines) else 1)


@app.command()
def hint(
    criterion: Annotated[str, typer.Argument(help="The criterion; the first that is not met if left out.")] = "",
    level: Annotated[int, typer.Option(min=1, max=_LAST_LEVEL, help="From 1, a nudge, to 3, the solution.")] = 1,
    participant: As = "",
) -> None:
    """Print a hint for a criterion; level 3 is the solution."""
    from workshop.course import checking

    facts = _facts(participant)
    if not criterion:
        unmet = next((line for line in checking.judge(facts) if line.counts), None)
        if unmet is None:
            print_text(out, "All criteria are met.")
            return
        criterion = unmet.criterion.id
        print_text(out, f"{criterion}: {visible(unmet.finding.sentence)}")
    print_text(out, visible(checking.hint(criterion, level, facts)))
    if level < _LAST_LEVEL:
        print_text(out, f"More: `workshop hint {criterion} --level {level + 1}`.")


def _facts(participant: str) -> "Facts":
    from workshop.course.readers import everything

    return everything.read(Path.cwd(), participant)


def _print(lines: "list[Line]", part: int | None) -> None:
    from workshop.course import checking

    for text, state in checking.overview(lines) if part is None else checking.as_text(lines):
        shown = visible(text)
        if state is None:
            print_text(out, shown)
        else:
            print_text(out, f"[{checking.COLOURS[state]}]{shown[0]}[/]{escape(shown[1:])}", markup=True)


def _watch(lines: "list[Line]", part: int | None, participant: str) -> None:
    """Print each criterion whose finding changes, and then what is next."""
    from workshop.course import checking

    sys.stdout.flush()
    while not Event().wait(_PAUSE):
        before, lines = {line.criterion.id: line.finding for line in lines}, checking.judge(_facts(participant), part)
        if changed := [line for line in lines if line.finding != before[line.criterion.id]]:
            for line in changed:
                sign = checking.SIGNS[line.finding.state]
                print_text(out, visible(f"{sign} {line.criterion.id}: {line.finding.sentence}"))
            print_text(out, visible(checking.conclusion(lines)))
            sys.stdout.flush()
