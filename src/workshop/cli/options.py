"""The options that several commands share."""

from typing import Annotated

import typer


def checked_model(model: str) -> str:
    """Return the name if it is valid for a registered model; raise a WorkshopError if not."""
    from workshop.core.parameters import check_parameter

    return str(check_parameter("model_name", model, str))


Model = Annotated[str, typer.Option("--model", help="The registered model.", callback=checked_model)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
