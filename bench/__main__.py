"""`python -m bench [NAME...] [--rounds N]`: measure, and print a table a benchmark."""

import platform
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from bench import commands, gate, growth, run, scoring, serving, setup, spark, swap
from bench.measure import BrokenError, Grid, Result, Tell

WIDTH_OF_A_LOG = 140


class Benchmark(StrEnum):
    """What can be measured."""

    COMMANDS = "commands"
    GATE = "gate"
    GROWTH = "growth"
    RUN = "run"
    SCORING = "scoring"
    SERVING = "serving"
    SETUP = "setup"
    SPARK = "spark"
    SWAP = "swap"


MEASURES: dict[Benchmark, Callable[[int, Tell], Result | list[Grid]]] = {
    Benchmark.COMMANDS: commands.measure,
    Benchmark.GATE: gate.measure,
    Benchmark.GROWTH: growth.measure,
    Benchmark.RUN: run.measure,
    Benchmark.SCORING: scoring.measure,
    Benchmark.SERVING: serving.measure,
    Benchmark.SETUP: setup.measure,
    Benchmark.SPARK: spark.measure,
    Benchmark.SWAP: swap.measure,
}


def main(
    names: Annotated[
        list[Benchmark] | None,
        typer.Argument(metavar="NAME", help="commands, gate, growth, run, scoring and so on; none for all."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each is measured; the median is printed, with least and greatest.")
    ] = 3,
) -> None:
    """Measure the kit against its peers. Figures are printed, never asserted: it fails only if something breaks."""
    out, err = Console(), Console(stderr=True)
    if not out.is_terminal:
        out.width = WIDTH_OF_A_LOG
    without_spark = [each for each in Benchmark if each is not Benchmark.SPARK]
    for name in names or (list(Benchmark) if spark.is_installed() else without_spark):
        busy, gibibytes = psutil.getloadavg()[0], psutil.virtual_memory().total / 2**30
        with err.status(f"{name} …") as status:
            try:
                result = MEASURES[name](rounds, status.update if err.is_terminal else err.print)
            except BrokenError as error:
                status.stop()
                err.print(f"[bold red]✗[/] {name}: {escape(str(error))}", soft_wrap=True)
                sys.exit(1)
        tables: Sequence[Result | Grid] = result if isinstance(result, list) else [result]
        for table in tables:
            out.print(table.as_table())
        out.print(
            f"rounds: {rounds}; {psutil.cpu_count()} cores, {gibibytes:.0f} GiB, load {busy:.1f} at the start; "
            f"Python {platform.python_version()} on {platform.system()} {platform.machine()}\n",
            style="dim",
            highlight=False,
        )


if __name__ == "__main__":
    typer.run(main)
