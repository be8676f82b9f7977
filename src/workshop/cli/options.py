"""The options that several commands share."""

from typing import Annotated

import typer


def checked_model(model: str) -> str:
    """Return a valid name of a registered model.

    Raises:
        WorkshopError: no registry accepts the name.
    """
    from workshop.core.parameters import check_parameter

    return str(check_parameter("model_name", model, str))


Model = Annotated[str, typer.Option("--model", help="The registered model.", callback=checked_model)]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
