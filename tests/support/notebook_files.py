"""Small notebooks for tests of the runner."""

from pathlib import Path

import nbformat

from workshop.runner.notebooks import Notebook


def write_notebook(path: Path, *cells: str, parameters: str | None = None) -> Notebook:
    """Write a notebook with these cells of code, behind a tagged parameters cell if there is one."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    if parameters is not None:
        notebook.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    notebook.cells.extend(nbformat.v4.new_code_cell(cell) for cell in cells)
    nbformat.write(notebook, path)
    return Notebook(path)


def printed(executed: Path) -> str:
    """Return the output that an executed notebook printed."""
    cells = nbformat.read(executed, as_version=4).cells
    return "".join(
        output.text for cell in cells for output in cell.get("outputs", []) if output.output_type == "stream"
    )


def pictures(executed: Path) -> int:
    """Return the number of pictures in an executed notebook."""
    cells = nbformat.read(executed, as_version=4).cells
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
