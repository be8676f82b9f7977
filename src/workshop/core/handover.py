"""What a notebook hands over to whatever runs it."""

import base64
import io
import json
from typing import TYPE_CHECKING, Any

from IPython.display import display
from pydantic import BaseModel, ValidationError

from workshop.core import notebook_task
from workshop.core.errors import WorkshopError
from workshop.core.outcome import Outcome
from workshop.core.tables import development_table, production_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class HandedOver(BaseModel):
    """The result of a notebook that a Databricks job has run, as it travels."""

    outcome: dict[str, Any] | None
    """The decision of 1_3 and what was done about it."""
    said: dict[str, str]
    """What else the notebook says of its work, as in `{"candidate": "3"}`."""
    data_version: dict[str, int]
    """The version of each table."""
    picture: str = ""
    """The decision, drawn: a PNG in base64."""


def hand_over(outcome: Outcome | None = None, picture: "Figure | None" = None, **said: object) -> None:
    """Show the outcome, if there is one; in a Databricks job, end the notebook with it and what else there is to say.

    On a laptop the runner reads the outcome, and the picture of it, from what is shown. A job keeps nothing of that but
    a text of up to 5 MB.
    """
    if outcome is not None:
        display(outcome)  # type: ignore[no-untyped-call]
    if notebook_task.is_running():
        handed_over = HandedOver(
            outcome=json.loads(json.dumps(outcome.as_dict())) if outcome is not None else None,
            said={name: str(value) for name, value in said.items()},
            data_version=data_version(),
            picture=_as_png(picture) if picture is not None else "",
        )
        notebook_task.end_with(handed_over.model_dump_json())


def received(notebook: str, text: str) -> HandedOver:
    """Read what a notebook has handed over.

    Raises:
        WorkshopError: it is something else.
    """
    try:
        return HandedOver.model_validate_json(text)
    except ValidationError as error:
        raise WorkshopError(
            f"What {notebook} ended with is not what the workshop's notebooks hand over: leave the call of hand_over "
            "in its last cell, and no dbutils.notebook.exit before it."
        ) from error


def data_version() -> dict[str, int]:
    """The version of each table that runs start from; those that are not there yet are left out."""
    known = (development_table(), production_table())
    return {table.name: int(table.open().version()) for table in known if table.exists()}


def _as_png(picture: "Figure") -> str:
    content = io.BytesIO()
    picture.savefig(content, format="png", bbox_inches="tight")
    return base64.b64encode(content.getvalue()).decode("ascii")
