"""The parameters of a notebook: the assignments in its cell tagged `parameters`, read as Python."""

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workshop.core.errors import WorkshopError

if TYPE_CHECKING:
    import nbformat

TAG = "parameters"
_INJECTED_TAG = "injected-parameters"
"""Papermill's tag of the cell with a run's values, which it adds after the tagged one."""
_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool}
_TYPES |= {form: kind | None for name, kind in _TYPES.items() for form in (f"{name} | None", f"Optional[{name}]")}
_OF_DEFAULTS = (str, int, float, bool, list, dict, tuple, type(None))


def tagged(notebook: "nbformat.NotebookNode") -> "list[nbformat.NotebookNode]":
    """Return the cells tagged `parameters`; papermill uses the first only."""
    return [cell for cell in notebook.cells if _has_tag(cell, TAG)]


def is_injected(cell: "nbformat.NotebookNode") -> bool:
    """Return whether papermill has added the cell, so that the notebook in JupyterLab does not have it."""
    return _has_tag(cell, _INJECTED_TAG)


def code_cells(notebook: "nbformat.NotebookNode") -> "list[nbformat.NotebookNode]":
    """Return the code cells, numbered as in JupyterLab: without the one that papermill has added."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and not is_injected(cell)]


def renumber(notebook: "nbformat.NotebookNode") -> None:
    """Change the numbers of an executed notebook's cells to those that a run in JupyterLab shows."""
    added = 0
    for cell in notebook.cells:
        if is_injected(cell):
            cell.execution_count, added = None, 1
        elif added and cell.cell_type == "code" and cell.execution_count:
            cell.execution_count -= added
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = cell.execution_count


def types_of(source: str) -> dict[str, Any]:
    """Return the names that a parameters cell assigns, each with its annotated type, or the type of its default.

    Raises:
        WorkshopError: the cell is not Python.
    """
    return {
        name: _TYPES.get(annotation) or _type_of(default)
        for statement in _parse(source).body
        for name, annotation, default in _assigned(statement)
    }


def set_back(notebook: "nbformat.NotebookNode", names: Iterable[str]) -> tuple[int, str] | None:
    """Return the first code cell that assigns a plain value to one of these parameters, or None.

    Papermill injects a run's values after the tagged cell, so such a cell would undo one of them.

    Returns:
        The number of the code cell, from 1, and the parameter.
    """
    wanted = set(names)
    for number, cell in enumerate(code_cells(notebook), start=1):
        if _has_tag(cell, TAG) or not any(name in cell.source for name in wanted):
            continue
        try:
            body = _parse(cell.source).body
        except WorkshopError:
            continue  # the run fails at this cell with its own error
        for statement in body:
            for name, _, value in _assigned(statement):
                if name in wanted and isinstance(value, ast.Constant):
                    return number, name
    return None


def _has_tag(cell: "nbformat.NotebookNode", tag: str) -> bool:
    tags = cell.metadata.get("tags")
    return isinstance(tags, list) and tag in tags  # in a string, "no_parameters" would match too


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        from IPython.core import inputtransformer2  # noqa: PLC0415  # for a cell with magics only

    transformer: Any = inputtransformer2.TransformerManager
    try:
        return ast.parse(str(transformer().transform_cell(source)))
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        line = f" at line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise WorkshopError(f"is not Python ({reason}{line}): correct the cell.") from error


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, str, ast.expr | None]]:
    """Yield the name, the annotation and the default of each variable that a statement assigns."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        annotation = statement.annotation
        # An annotation may be in quotes.
        text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
        yield statement.target.id, str(text), statement.value
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _pairs(target, statement.value)


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, "", value
    elif isinstance(target, ast.Tuple | ast.List):
        same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
        values = value.elts if same and isinstance(value, ast.Tuple | ast.List) else [None] * len(target.elts)
        for each, default in zip(target.elts, values, strict=True):
            yield from _pairs(each, default)


def _type_of(default: ast.expr | None) -> type:
    try:
        kind = type(ast.literal_eval(default)) if default is not None else str
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return str  # computed when the cell runs
    return kind if kind in _OF_DEFAULTS else str
