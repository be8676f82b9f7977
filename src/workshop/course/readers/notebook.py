"""Notebooks as cells, without Jupyter's packages."""

import json
import re
from typing import Any

from workshop.course.facts import Cell, Notebook

_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def read(text: bytes) -> Notebook:
    """Return the cells of a notebook; None if it can't be read."""
    try:
        cells = json.loads(text)["cells"]
        return _cells(cells)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _cells(cells: list[dict[str, Any]]) -> tuple[Cell, ...]:
    found, heading = [], ""
    for cell in cells:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next(iter(_HEADING.findall(source)[-1:]), heading)
        tags = frozenset(cell.get("metadata", {}).get("tags", ()))
        found.append(Cell(source, cell["cell_type"], tags, heading, bool(cell.get("outputs"))))
    return tuple(found)
