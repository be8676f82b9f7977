"""The training cell of 1_2, and whether it is that of Part 4."""

from workshop.course.facts import Cell, Notebook


def training_cells(cells: Notebook) -> list[Cell]:
    """Return the code cells that are tagged as the training cell."""
    return [cell for cell in cells or () if cell.kind == "code" and "training" in cell.tags]


def placed(cells: Notebook, better: str) -> str:
    """Return what 1_2 does with the new training cell: replaced, added, edited or old."""
    code = [code_of(cell) for cell in cells or () if cell.kind == "code"]
    fits = [text for text in code if "training_run" in text and "mlflow.start_run" in text]
    if better in code:
        return "replaced" if len(fits) == 1 else "added"
    return "edited" if any("optuna" in text for text in fits) else "old"


def is_in(cells: Notebook, better: str) -> bool:
    """Return whether a notebook has the new training cell."""
    return any(code_of(cell) == better for cell in cells or ())


def code_of(cell: Cell) -> str:
    """Return a cell's code without blanks at the ends of lines, which an editor may change."""
    return "\n".join(line.rstrip() for line in cell.source.strip().splitlines())
