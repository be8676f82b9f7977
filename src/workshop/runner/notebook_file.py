"""Reading a notebook file: repairs what tools leave out, and explains a file that is not a notebook."""

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError

if TYPE_CHECKING:
    import nbformat

_CONFLICT = re.compile(r"^[ \t]*(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
_CELLS = frozenset({"code", "markdown", "raw", "heading"})


def read(path: Path) -> "nbformat.NotebookNode":
    """Return the notebook in a file, in format 4, with the kernel that the kit runs every notebook with.

    Metadata, cell ids and outputs may be missing or wrong, since a run needs none of them.

    Raises:
        WorkshopError: the file can't be read, or is not a notebook.
    """
    import nbformat  # noqa: PLC0415  # `workshop run` prints its first line before

    tree = _tree(path)
    version = tree.get("nbformat")
    if not isinstance(version, int) or not isinstance(tree.get("cells" if version >= 4 else "worksheets"), list):
        raise _not_a_notebook(path, "its format or its cells are missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing and repeated cell ids are set right here
            notebook: nbformat.NotebookNode = nbformat.reads(json.dumps(_completed(tree)), as_version=4)
    except (nbformat.ValidationError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise _not_a_notebook(path, first_sentence(error)) from error
    if not all(_is_cell(cell) for cell in notebook.cells):
        raise _not_a_notebook(path, "a cell has no type or no source")
    notebook.metadata.kernelspec = nbformat.from_dict(_KERNEL)
    notebook.metadata.pop("language_info", None)
    return notebook


def _tree(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkshopError(
            f"The notebook {path.name} is not UTF-8 (a wrong byte at position {error.start}): save it as UTF-8."
        ) from error
    except OSError as error:
        raise WorkshopError(
            f"The notebook {path.name} can't be read ({error.strerror}): put a readable notebook file at {path}."
        ) from error
    if not text.strip():
        raise WorkshopError(f"The notebook {path.name} is empty: restore it, for example from Git.")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(path, text, error) from error
    if not isinstance(tree, dict):
        raise _not_a_notebook(path, "it contains no object")
    return tree


def _not_json(path: Path, text: str, error: Exception) -> WorkshopError:
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        return WorkshopError(
            f"The notebook {path.name} has a merge conflict left in it, at line {line}: resolve the conflict, or "
            "restore one side with `git checkout`."
        )
    if text.startswith("version https://git-lfs.github.com/"):
        return WorkshopError(f"The notebook {path.name} is kept in Git LFS and not fetched yet: run `git lfs pull`.")
    return WorkshopError(
        f"The notebook {path.name} is not JSON ({first_sentence(error)}), as a file that was cut off or edited by "
        "hand: restore it, for example from Git."
    )


def _not_a_notebook(path: Path, reason: str) -> WorkshopError:
    return WorkshopError(
        f"{path.name} is not a notebook that can be read ({reason}): save it again with JupyterLab, or restore it."
    )


def _completed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with all required fields, and without outputs, which a run replaces."""
    if tree["nbformat"] != 4:
        return tree
    cells = [_completed_cell(cell) if isinstance(cell, dict) else cell for cell in tree["cells"]]
    minor = tree.get("nbformat_minor")
    whole = minor if isinstance(minor, int) and minor >= 0 else 5
    return {**tree, "nbformat_minor": whole, "metadata": _object(tree.get("metadata")), "cells": cells}


def _completed_cell(cell: dict[str, Any]) -> dict[str, Any]:
    code: dict[str, Any] = {"outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else {}
    return {**cell, "metadata": _object(cell.get("metadata")), **code}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_cell(cell: Any) -> bool:
    return isinstance(cell, dict) and cell.get("cell_type") in _CELLS and isinstance(cell.get("source"), str)
