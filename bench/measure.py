"""What the benchmarks share: places of their own, timed processes, spreads over rounds, and the table.

Every figure is a ratio against a named peer that was measured in the same run on the same machine, because seconds
alone say more about the machine than about the code. Contenders take turns, round by round, and a ratio is made
within a round: whatever else the machine does meanwhile hits both. Figures are printed, never asserted.
"""

import operator
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]

Command = Sequence[str | Path]

Tell = Callable[[str], None]
"""Says what is being measured, to whoever waits."""

RATIO = "{:.3f}"
_LINES_OF_AN_ERROR = 15
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "<": operator.lt, "≥": operator.ge}


class BrokenError(Exception):
    """Something that was to be measured does not work, so there is nothing to measure."""


@dataclass(frozen=True)
class Spread:
    """Measurements of one thing, one a round."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The measurement in the middle."""
        return statistics.median(self.values)

    def per(self, peer: "Spread") -> "Spread":
        """The ratios to a peer's measurements, each within its round; a peer measured once stands for every round."""
        theirs = list(peer.values) * (len(self.values) if len(peer.values) == 1 else 1)
        return Spread([mine / other for mine, other in zip(self.values, theirs, strict=True)])

    def shown(self, form: str = "{:.2f}", unit: str = "") -> str:
        """The median, and below it, where there were several rounds, the least and the greatest."""
        median = f"{form.format(self.median)} {unit}".rstrip()
        if len(self.values) == 1:
            return median
        return f"{median}\n[dim]{form.format(min(self.values))} – {form.format(max(self.values))}[/]"


@dataclass(frozen=True)
class Target:
    """What a figure should be."""

    sign: str
    limit: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g} {self.unit}".rstrip()

    def met_by(self, value: float) -> bool:
        """Whether the value is as it should be."""
        return _COMPARISONS[self.sign](value, self.limit)


@dataclass(frozen=True)
class Row:
    """One comparison. `met` stays None where there is no target, or nothing could be measured."""

    what: str
    figure: str
    peer: str = ""
    peer_figure: str = ""
    ratio: Spread | None = None
    target: Target | None = None
    met: bool | None = None


@dataclass(frozen=True)
class Result:
    """A benchmark's table."""

    title: str
    note: str
    rows: Sequence[Row]

    def as_table(self) -> Table:
        """The table as a person reads it."""
        table = Table(
            title=self.title, title_justify="left", caption=self.note, caption_justify="left", show_lines=True
        )
        for column in ("measured", "figure", "peer", "its figure", "ratio", "target", "met"):
            table.add_column(column, justify="left" if column in ("measured", "peer") else "right")
        for row in self.rows:
            met = "" if row.met is None else "[green]yes[/]" if row.met else "[red]no[/]"
            ratio = row.ratio.shown(RATIO) if row.ratio is not None else ""
            target = str(row.target) if row.target is not None else ""
            table.add_row(row.what, row.figure, row.peer, row.peer_figure, ratio, target, met)
        return table


@dataclass(frozen=True)
class Grid:
    """A benchmark's table with columns of its own."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_table(self) -> Table:
        """Return the table for a person."""
        table = Table(title=self.title, title_justify="left", caption=self.note, caption_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table


def compared(
    what: str, figures: tuple[str, Spread], peer: str, peers: tuple[str, Spread], target: Target | None
) -> Row:
    """A row whose target, if any, is one for the ratio; figures come as shown and as measured."""
    ratio = figures[1].per(peers[1])
    met = target.met_by(ratio.median) if target is not None else None
    return Row(what, figures[0], peer, peers[0], ratio, target, met)


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder that is gone at the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="workshop-bench-") as folder:
        yield Path(folder)


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment with the kit's home in `home`, and nothing in it that points to another store."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WORKSHOP_", "MLFLOW_"))}
    return {**kept, "WORKSHOP_HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true", **more}


@dataclass(frozen=True)
class Finished:
    """A process that has ended as it should."""

    seconds: float
    """From just before its start to its end."""
    processor: float
    """Seconds of processor time, of it and of the processes that it has waited for."""
    output: str


def timed(
    command: Command, variables: Mapping[str, str], accepted: Sequence[int] = (0,), *, cwd: Path = ROOT
) -> Finished:
    """Run a command, usually in the repository's folder, and take the times of the whole process.

    Raises:
        BrokenError: it ends with an exit code that is not accepted.
    """
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - started, os.times()
    if done.returncode not in accepted:
        said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-_LINES_OF_AN_ERROR:])
        raise BrokenError(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{said}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Finished(seconds, processor, done.stdout)
