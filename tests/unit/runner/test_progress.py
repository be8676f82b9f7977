import io

from rich.console import Console

from workshop.runner.progress import LiveProgress, PlainProgress, shown_on
from workshop.runner.summary import NotebookResult
from workshop.runner.target import Progress


def watch(progress: Progress) -> None:
    progress.notebook_started("part_1_1_data_prep", 2)
    progress.cell_started(1)
    progress.cell_started(2)
    progress.notebook_ended(NotebookResult(name="part_1_1_data_prep", status="succeeded", seconds=1.25))


def test_a_log_gets_plain_lines_without_colours() -> None:
    written = io.StringIO()
    with shown_on(Console(file=written)) as progress:
        assert isinstance(progress, PlainProgress)
        watch(progress)
    assert written.getvalue() == ("part_1_1_data_prep: 2 cells\npart_1_1_data_prep: succeeded at cell 2 of 2, 1.2 s\n")


def test_a_terminal_shows_what_is_waited_for_before_the_first_notebook() -> None:
    written = io.StringIO()
    with shown_on(Console(file=written, force_terminal=True, width=100)) as progress:
        progress.said("Action deployment.")
        assert "Waiting for the first notebook" in written.getvalue()
        watch(progress)
        written.truncate(0)
        progress.said("It has begun.")
    assert "Waiting" not in written.getvalue()


def test_a_terminal_shows_the_notebook_and_the_cell() -> None:
    written = io.StringIO()
    with shown_on(Console(file=written, force_terminal=True, width=100)) as progress:
        assert isinstance(progress, LiveProgress)
        watch(progress)
    assert "part_1_1_data_prep" in written.getvalue()
    assert "2 of 2" in written.getvalue()
