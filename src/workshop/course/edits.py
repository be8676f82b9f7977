"""Edits of files and notebooks that a page asks for."""

import json
from pathlib import Path
from typing import Any

from kit_common.errors import UserError
from workshop.course.page import Edit, Place

NOTEBOOKS = Path("src/workshop/notebooks")


def apply(edit: Edit, checkout: Path) -> None:
    """Change a file or a notebook's cell as the page shows.

    Raises:
        UserError: the file, the cell or the old lines are not found exactly once.
    """
    if edit.source is not None and not edit.changes:
        _write(edit.place, checkout, _read(edit.source, checkout))
    elif edit.source is not None:
        _create(edit, checkout)
    else:
        _write(edit.place, checkout, _replaced(edit, _read(edit.place, checkout)))


def _create(edit: Edit, checkout: Path) -> None:
    path = checkout / edit.place.path
    if path.exists():
        raise UserError(f"{edit.place.path} exists already: the page creates it as a new file.")
    if not all(line.startswith("+") for line in edit.changes):
        raise UserError(f"{edit.place.path} is a new file: each of its lines begins with `+`.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line[1:]}\n" for line in edit.changes), encoding="utf-8")


def _replaced(edit: Edit, text: str) -> str:
    old = [line[1:] for line in edit.changes if not line.startswith("+")]
    new = [line[1:] for line in edit.changes if not line.startswith("-")]
    lines = text.split("\n")
    found = [at for at in range(len(lines) - len(old) + 1) if lines[at : at + len(old)] == old]
    if not old or len(found) != 1:
        first = f"The lines from {old[0]!r} on are" if old else "Without a line with `-` or a blank the place is"
        times = f"{len(found)} times" if old and found else "not"
        raise UserError(f"{first} {times} found in {_named(edit.place)}: the edit needs a place that is there once.")
    return "\n".join([*lines[: found[0]], *new, *lines[found[0] + len(old) :]])


def _named(place: Place) -> str:
    return f'{place.path}, under "{place.heading}"' if place.heading else place.path


def _path(place: Place, checkout: Path) -> Path:
    path = checkout / place.path
    if place.path.endswith(".ipynb") and not path.exists():
        path = checkout / NOTEBOOKS / place.path
    if not path.is_file():
        raise UserError(f"{place.path} is not found: name a file of the checkout, or a notebook of {NOTEBOOKS}.")
    return path


def _read(place: Place, checkout: Path) -> str:
    text = _path(place, checkout).read_text(encoding="utf-8")
    return _source(_cell(json.loads(text), place)) if place.heading else text


def _write(place: Place, checkout: Path, text: str) -> None:
    path = _path(place, checkout)
    if place.heading:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        _cell(notebook, place)["source"] = text.splitlines(keepends=True)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _cell(notebook: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return the first cell of code below the heading."""
    cells: list[dict[str, Any]] = notebook["cells"]
    headings = [at for at, cell in enumerate(cells) if place.heading in _headings(cell)]
    if len(headings) != 1:
        raise UserError(
            f"{place.path} has the heading {place.heading!r} {len(headings)} times: an edit needs it exactly once."
        )
    for cell in cells[headings[0] + 1 :]:
        if cell["cell_type"] == "code":
            return cell
        if _headings(cell):
            break
    raise UserError(f"{place.path} has no cell of code under {place.heading!r}: name another heading.")


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _headings(cell: dict[str, Any]) -> list[str]:
    lines = _source(cell).splitlines() if cell["cell_type"] == "markdown" else []
    return [line.lstrip("#").strip() for line in lines if line.startswith("#")]
