"""Edits of files and notebooks from the text of a page."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kit_common.errors import UserError
from workshop.core.settings import PACKAGE
from workshop.course import edits
from workshop.course.page import Edit, Place

TRAINING = Place("part_1_2_training.ipynb", "Train")
BETTER = Place("part_4_new_training_code.ipynb", "Train")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the notebooks and one file of text."""
    shutil.copytree(PACKAGE / "notebooks", tmp_path / edits.NOTEBOOKS)
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\ntwo\n", encoding="utf-8")
    return tmp_path


def cell(checkout: Path, place: Place) -> Any:
    cells = nbformat.read(checkout / edits.NOTEBOOKS / place.path, as_version=4).cells
    below = next(at for at, each in enumerate(cells) if f"# {place.heading}\n" in f"{each.source}\n")
    return next(each for each in cells[below:] if each.cell_type == "code")


def test_lines_of_a_cell_are_replaced(checkout: Path) -> None:
    place = Place("part_1_1_data_prep.ipynb", "Parameters")
    before = cell(checkout, place).source.splitlines()
    edits.apply(Edit(1, place, (f"-{before[0]}", '+run_name: str = "dev-ana"')), checkout)
    assert cell(checkout, place).source.splitlines() == ['run_name: str = "dev-ana"', *before[1:]]


def test_a_cell_is_copied_over_another_and_nothing_else_changes(checkout: Path) -> None:
    path = checkout / edits.NOTEBOOKS / TRAINING.path
    before = path.read_text(encoding="utf-8")
    old = cell(checkout, TRAINING).source
    edits.apply(Edit(1, TRAINING, source=BETTER), checkout)
    assert cell(checkout, TRAINING).source == cell(checkout, BETTER).source != old
    notebook = nbformat.read(path, as_version=4)
    next(each for each in notebook.cells if "training" in each.metadata.get("tags", [])).source = old
    assert nbformat.writes(notebook) + "\n" == before


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ((" one", "-two", "+2"), "one\n2\nthree\ntwo\n"),
        ((" three", " two", "+four"), "one\ntwo\nthree\ntwo\nfour\n"),
        (("-one", "-two"), "three\ntwo\n"),
    ],
)
def test_lines_of_a_file_are_replaced(checkout: Path, changes: tuple[str, ...], text: str) -> None:
    edits.apply(Edit(1, Place("a.txt"), changes), checkout)
    assert (checkout / "a.txt").read_text(encoding="utf-8") == text


def test_a_new_file_is_written_once(checkout: Path) -> None:
    edit = Edit(1, Place("new/b.txt"), ("+one", "+", "+two"), Place("/dev/null"))
    edits.apply(edit, checkout)
    assert (checkout / "new" / "b.txt").read_text(encoding="utf-8") == "one\n\ntwo\n"
    with pytest.raises(UserError, match=r"new/b\.txt exists already"):
        edits.apply(edit, checkout)


@pytest.mark.parametrize(
    ("place", "changes", "problem"),
    [
        (Place("a.txt"), ("-two", "+2"), "The lines from 'two' on are 2 times found in a.txt"),
        (Place("a.txt"), ("-four", "+4"), "The lines from 'four' on are not found in a.txt"),
        (Place("a.txt"), ("-one", "-three"), "The lines from 'one' on are not found in a.txt"),
        (Place("a.txt"), ("+4",), "Without a line with `-` or a blank"),
        (Place("gone.txt"), ("-one",), "gone.txt is not found"),
        (Place("part_1_9.ipynb", "Train"), ("-one",), "part_1_9.ipynb is not found"),
        (Place("part_1_2_training.ipynb", "Trains"), ("-one",), "has the heading 'Trains' 0 times"),
        (
            Place("part_1_2_training.ipynb", "Train"),
            ("-one",),
            'are not found in part_1_2_training.ipynb, under "Train"',
        ),
    ],
)
def test_an_edit_without_its_place_is_refused(
    checkout: Path, place: Place, changes: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(UserError) as error:
        edits.apply(Edit(1, place, changes), checkout)
    assert problem in str(error.value)
