"""`workshop rehearse`: the automated participant, who carries the course's pages out in a fresh clone."""

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from kit_common.sanitize import visible
from kit_common.terminal import print_text
from workshop.core.errors import UsageError
from workshop.core.settings import PACKAGE

app = typer.Typer()
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@app.command()
def rehearse(
    part: Annotated[
        int | None,
        typer.Argument(metavar="[PART]", help="The last part to carry out; each needs those before it.", min=0),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the output and the figures of the pages, too.")
    ] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write what was printed into the pages, and compare the figures.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the participant's folder, and print its path.")] = False,
) -> None:
    """Carry the course's pages out, as a participant with only the pages does.

    It types every command of the laptop tabs in order, in a fresh clone of this checkout's commit, with a home folder
    of its own; your own home, tables and models stay as they are. Where it gets stuck it prints page, line, command and
    what the command printed, and ends with 1. The pages are those of this checkout, with uncommitted changes.
    """
    from workshop.course import rehearsal
    from workshop.course.page import read_page

    repository = PACKAGE.parents[1]
    paths = _pages(repository, part)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)
    started = time.monotonic()
    with rehearsal.own_folder(keep) as folder:
        _print(f"The participant's folder is {folder}.")
        pages = [read_page(path) for path in paths]
        outcome = rehearsal.rehearse(pages, repository, folder, _print, compare, rewrite)
    for problem in outcome.problems:
        print_text(err, visible(f"✗ {problem}"))
    figures = f", {outcome.figures} figures checked" if compare or rewrite else ""
    _print(
        f"{outcome.pages} of {len(pages)} pages, {outcome.blocks} blocks, {outcome.commands} commands, "
        f"{outcome.edits} edits{figures}, {time.monotonic() - started:.0f} s: "
        + (f"{len(outcome.problems)} problems." if outcome.problems else "no problem.")
    )
    sys.exit(1 if outcome.problems else 0)


def _pages(repository: Path, last: int | None) -> list[Path]:
    found = sorted((repository / "docs").glob("part_[0-9].md"))
    pages = [path for path in found if last is None or int(path.stem[-1]) <= last]
    if not pages or (last is not None and int(pages[-1].stem[-1]) != last):
        names = ", ".join(path.stem for path in found) or "none"
        raise UsageError(f"The page of that part is not found in {repository / 'docs'}: it has {names}.")
    return pages


def _print(line: str) -> None:
    print_text(out, visible(line))


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
