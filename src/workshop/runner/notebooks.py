"""The notebooks: their files, their order, and the parameters that each declares."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop.core.errors import UsageError, WorkshopError
from workshop.core.parameters import check_parameter
from workshop.core.settings import PACKAGE, PREPARATION, TRAINING
from workshop.runner import notebook_file, parameters_cell

if TYPE_CHECKING:
    import nbformat

FOLDER = PACKAGE / "notebooks"
EVALUATION = "part_1_3_evaluating"
"""The only notebook that moves slots; it draws the decision."""
IN_ORDER = (PREPARATION, TRAINING, EVALUATION)
SCORING = "part_1_4_scoring"
DATASETS = "part_0_create_datasets"
SHIPPED = (DATASETS, *IN_ORDER, SCORING, "part_4_new_training_code")

_SECRET = re.compile(r"passw|secret|token|credential|api_?key|access_?key|private_?key|(^|_)pat($|_)", re.IGNORECASE)


@dataclass(frozen=True)
class Notebook:
    """One notebook file."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its ending, as in `part_1_2_training`."""
        return self.path.stem

    def read(self) -> "nbformat.NotebookNode":
        """Return the notebook's content, see `notebook_file.read`."""
        return notebook_file.read(self.path)

    def declared(self) -> dict[str, Any]:
        """Return the parameters of the tagged cell, with their types.

        Raises:
            UsageError: two cells are tagged, or the tagged cell is not Python.
            WorkshopError: the file is not a notebook.
        """
        cells = parameters_cell.tagged(self.read())
        if len(cells) > 1:
            raise UsageError(
                f"The notebook {self.name} has {len(cells)} cells tagged `parameters`, and a later one undoes the "
                "values that a run gives: keep one, and remove the tag or the cell of the others."
            )
        try:
            return parameters_cell.types_of(cells[0].source) if cells and cells[0].cell_type == "code" else {}
        except WorkshopError as error:
            raise UsageError(f"The parameters cell of the notebook {self.name} {error}") from error

    def require_kept(self, names: Iterable[str]) -> None:
        """Check that no cell overwrites one of these parameters, which the run gives.

        Raises:
            UsageError: a cell overwrites one.
        """
        if (found := parameters_cell.set_back(self.read(), names)) is not None:
            number, name = found
            raise UsageError(
                f"The notebook {self.name} sets the parameter {name} in its code cell {number}, which undoes the value "
                "that the run gives: remove that assignment."
            )

    def code_cells(self) -> int:
        """Return the number of code cells."""
        return len(parameters_cell.code_cells(self.read()))


def select(names: Iterable[str] = (), scoring: bool = False) -> list[Notebook]:
    """Return the notebooks to run, in order.

    Args:
        names: names as in `1_1` or `part_1_1_data_prep`; empty for the notebooks of a delivery run.
        scoring: whether the delivery run ends with 1_4.

    Raises:
        UsageError: no notebook has that name, or several match it.
    """
    chosen = list(names)
    if chosen:
        found = [_find(name) for name in chosen]
        if twice := [notebook.name for notebook in found if found.count(notebook) > 1]:
            raise UsageError(f"The notebook {twice[0]} is named twice: a run executes it once.")
        return found
    return [_find(name) for name in (*IN_ORDER, *([SCORING] if scoring else []))]


def check_parameters(notebooks: Iterable[Notebook], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Assign the given parameters to the notebooks that declare them, converted to the declared types.

    Returns:
        The parameters of each notebook, by its name.

    Raises:
        UsageError: a parameter looks like a secret, is not declared by any notebook, or has an invalid value.
    """
    declared = {notebook.name: notebook.declared() for notebook in notebooks}
    known = sorted({name for types in declared.values() for name in types})
    for name in [*given, *known]:
        if _SECRET.search(name):
            raise UsageError(
                f"The parameter {name} looks like a secret, and parameters are written into the executed notebooks: "
                "pass it to the process as an environment variable instead."
            )
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            declares = f"they have {', '.join(known)}." if known else "they declare no parameters."
            hint = f"did you mean {close[0]}?" if close else declares
            raise UsageError(f"No notebook of this run has a parameter {name!r}: {hint}")
    try:
        return {
            notebook: {name: check_parameter(name, given[name], types[name]) for name in given if name in types}
            for notebook, types in declared.items()
        }
    except WorkshopError as error:
        raise UsageError(str(error)) from error


def _find(name: str) -> Notebook:
    every = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb")) if not path.name.startswith(".")}
    stem = name.removesuffix(".ipynb")
    wanted = stem.removeprefix("part_")
    for exact in (stem, f"part_{wanted}", wanted):
        if exact in every:
            return Notebook(every[exact])
    # A tool's copy, such as part_1_1_data_prep-Copy1, is found by its whole name only.
    abbreviated = re.compile(rf"(part_)?{re.escape(wanted)}_[^\W\d]\w*")
    found = [each for each in every if wanted and abbreviated.fullmatch(each)]
    if len(found) > 1:
        raise UsageError(f"The notebook {name!r} is ambiguous: name one of {', '.join(found)} in full.")
    if not found:
        raise UsageError(f"There is no notebook {name!r}: there are {', '.join(every)}.")
    return Notebook(every[found[0]])
