"""The result of a notebook, and how it reaches the run."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.display import display
from pydantic import BaseModel

from kit_common.sanitize import printable, shortened
from workshop.core import databricks_task
from workshop.core.data.tables import development_table, production_table
from workshop.core.errors import WorkshopError
from workshop.core.parameters import last_read
from workshop.core.promotion.outcome import Outcome
from workshop.core.settings import current_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PNG = b"\x89PNG"
_LONGEST_SENTENCE = 1_000
_COMPARED = ("auc_champion", "difference", "standard_error", "lower_bound", "upper_bound", "p_value")
_FIGURES = ("auc_candidate", "confidence", "min_improvement", "rows", "positives")
_LARGEST = 1e12


MIME_TYPE = "application/vnd.workshop.handover+json"
"""The MIME type of the output that contains a notebook's result, for a run on this machine."""


class HandedOver(BaseModel):
    """The result of a notebook, in the form that is passed to the run."""

    outcome: Outcome | None
    """The decision of 1_3 and what was done about it."""
    said: dict[str, str]
    """Further results, as in `{"candidate": "3"}`."""
    data_version: dict[str, int]
    """The version of each table."""
    parameters: dict[str, Any] = {}
    """The parameters that the notebook has read."""
    picture: str = ""
    """The plot of the decision: a PNG in base64."""


def hand_over(outcome: Outcome | None = None, picture: "Figure | None" = None, **said: object) -> None:
    """Show the outcome, if there is one, and pass it to the run that executes this notebook, with `said`.

    A run on this machine reads the result from an output of the notebook, and the picture from the cell that shows it.
    A Databricks job keeps only the notebook's exit value, a text of up to 5 MB. In Jupyter there is no run.

    Args:
        outcome: the decision of 1_3 and what was done about it.
        picture: a plot of the decision.
        said: further results, as in `candidate="3"`.
    """
    if outcome is not None:
        display(outcome)  # type: ignore[no-untyped-call]
    in_a_job = databricks_task.is_running()
    if not in_a_job and not current_settings().run_id:
        return
    handed_over = HandedOver(
        outcome=outcome,
        said={name: str(value) for name, value in said.items()},
        data_version=data_version(),
        parameters=last_read(),
        picture=_as_png(picture) if picture is not None and in_a_job else "",
    )
    # Not with pydantic, which turns NaN into null and refuses half of a surrogate pair.
    text = json.dumps(handed_over.model_dump())
    if in_a_job:
        databricks_task.end_with(text)
    else:
        shown = ", ".join(f"{name} {value}" for name, value in handed_over.said.items()) or "the decision"
        display({MIME_TYPE: text, "text/plain": f"handed over: {shown}"}, raw=True)  # type: ignore[no-untyped-call]


def read_result(text: str, harmless: Callable[[str], str] = printable) -> HandedOver:
    """Read the result of a notebook, which may come from an untrusted source.

    Args:
        text: the output or exit value of the notebook.
        harmless: applied to each name and value, so that it can be shown.

    Raises:
        WorkshopError: the text is not such a result.
    """
    try:
        read = json.loads(text)
        picture = read.pop("picture", "")
        read = _each_text(read, harmless)
        got = HandedOver.model_validate_json(json.dumps({**read, "picture": picture}), strict=True)
        if got.outcome is not None:
            _require_complete(got.outcome)
            short = replace(got.outcome, sentence=shortened(got.outcome.sentence, _LONGEST_SENTENCE))
            got = got.model_copy(update={"outcome": short})
        if got.picture and not base64.b64decode(got.picture, validate=True).startswith(_PNG):
            raise ValueError("the picture is not a PNG")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WorkshopError(
            "its result is not that of a workshop notebook: keep the call of hand_over in its last cell, and remove "
            "any dbutils.notebook.exit before it."
        ) from error
    return got.model_copy(update={"said": {name: shortened(value) for name, value in got.said.items()}})


def _require_complete(outcome: Outcome) -> None:
    """Check the slots and the figures of an outcome that has been read.

    Raises:
        ValueError: a slot is missing, the comparison is incomplete, or a figure is out of range.
    """
    from workshop.core.registry.slots import Slot  # noqa: PLC0415  # imports MLflow, which takes seconds

    if set(outcome.slots_before) != set(Slot) or set(outcome.slots_after) != set(Slot):
        raise ValueError("the holder of a slot is missing")
    decision = outcome.decision.as_dict()
    if decision["difference"] is not None and any(decision[name] is None for name in _COMPARED):
        raise ValueError("the comparison is incomplete")
    figures = [decision[name] for name in (*_COMPARED, *_FIGURES) if decision[name] is not None]
    if not all(abs(figure) < _LARGEST for figure in figures):
        raise ValueError("a figure is out of range")


def _each_text(read: Any, harmless: Callable[[str], str]) -> Any:
    if isinstance(read, str):
        return harmless(read)
    if isinstance(read, list):
        return [_each_text(each, harmless) for each in read]
    if isinstance(read, dict):
        return {harmless(name): _each_text(value, harmless) for name, value in read.items()}
    return read


def data_version() -> dict[str, int]:
    """Return the version of each table that runs start from; missing tables are left out."""
    known = (development_table(), production_table())
    return {table.name: table.newest_version() for table in known if table.exists()}


def _as_png(picture: "Figure") -> str:
    content = io.BytesIO()
    picture.savefig(content, format="png", bbox_inches="tight")
    return base64.b64encode(content.getvalue()).decode("ascii")
