"""The progress of a run: a live line for each notebook on a terminal, plain lines in a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from typing_extensions import override

from kit_common.terminal import print_text
from workshop.runner.summary import NotebookResult
from workshop.runner.target import Progress

_MARKS = {"succeeded": "[green]✓", "failed": "[red]✗", "interrupted": "[yellow]■", "not run": " "}


@contextmanager
def shown_on(console: Console) -> Iterator[Progress]:
    """Show progress in the block, in the form that suits the console."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    bars = Bars(
        TextColumn("{task.fields[mark]} {task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[cells]}"),
        TimeElapsedColumn(),
        console=console,
    )
    with bars:
        progress = LiveProgress(bars)
        try:
            yield progress
        finally:
            progress.end_waiting()


class LiveProgress(Progress):
    """A bar for each notebook."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("Waiting for the first notebook …", total=None, mark=" ", cells="")
        self._waiting: TaskID | None = self._task
        self._total: int | None = 0

    def end_waiting(self) -> None:
        """Remove the line that is shown before the first notebook."""
        if self._waiting is not None:
            self._bars.remove_task(self._waiting)
            self._waiting = None

    @override
    def said(self, sentence: str) -> None:
        print_text(self._bars.console, sentence)

    @override
    def notebook_started(self, name: str, cells: int | None) -> None:
        self.end_waiting()
        self._total = cells
        self._task = self._bars.add_task(f"{name:<24}", total=cells, mark="[cyan]▸", cells=self._cells(0))

    @override
    def cell_started(self, number: int) -> None:
        self._bars.update(self._task, completed=number, cells=self._cells(number))

    @override
    def notebook_ended(self, result: NotebookResult) -> None:
        bar = next(each for each in self._bars.tasks if each.id == self._task)
        if bar.total is None:  # its cells are not counted: the notebook is one step
            self._bars.update(self._task, total=1, completed=1)
        self._bars.update(self._task, mark=_MARKS[result.status])
        self._bars.stop_task(self._task)

    def _cells(self, number: int) -> str:
        return "on Databricks" if self._total is None else f"cell {number} of {self._total}"


class PlainProgress(Progress):
    """A line when a notebook starts and one when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._cells: int | None = 0
        self._number = 0

    @override
    def said(self, sentence: str) -> None:
        print_text(self._console, sentence)

    @override
    def notebook_started(self, name: str, cells: int | None) -> None:
        self._cells, self._number = cells, 0
        print_text(self._console, f"{name}: {'started' if cells is None else f'{cells} cells'}")

    @override
    def cell_started(self, number: int) -> None:
        self._number = number

    @override
    def notebook_ended(self, result: NotebookResult) -> None:
        seconds = "" if result.seconds is None else f", {result.seconds:.1f} s"
        where = "" if self._cells is None else f" at cell {self._number} of {self._cells}"
        print_text(self._console, f"{result.name}: {result.status}{where}{seconds}")
