"""What a notebook hands over to whatever runs it."""

import json
from typing import Any

from IPython.display import display
from pydantic import BaseModel, ValidationError

from workshop.core import notebook_task
from workshop.core.errors import WorkshopError
from workshop.core.outcome import Outcome
from workshop.core.tables import development_table, production_table


class HandedOver(BaseModel):
    """The result of a notebook that a Databricks job has run, as it travels."""

    outcome: dict[str, Any] | None
    """The decision of 1_3 and what was done about it."""
    said: dict[str, str]
    """What else the notebook says of its work, as in `{"candidate": "3"}`."""
    data_version: dict[str, int]
    """The version of each table."""


def hand_over(outcome: Outcome | None = None, **said: object) -> None:
    """Show the outcome, if there is one; in a Databricks job, end the notebook with it and what else there is to say.

    On a laptop the runner reads the outcome from what is shown. A job keeps nothing of that but a text of up to 5 MB.
    """
    if outcome is not None:
        display(outcome)  # type: ignore[no-untyped-call]
    notebook_task.end_with(
        HandedOver(
            outcome=json.loads(json.dumps(outcome.as_dict())) if outcome is not None else None,
            said={name: str(value) for name, value in said.items()},
            data_version=data_version(),
        ).model_dump_json()
    )


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
