"""`workshop rollback` and `workshop promote`: commands that move a slot without a comparison."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from kit_common.terminal import print_text
from workshop.cli.options import Model
from workshop.cli.output import output_may_fail, waiting_for

if TYPE_CHECKING:
    from workshop.core.registry.slots import Slots

app = typer.Typer()
out = Console()


@app.command()
def rollback(
    context: typer.Context,
    to: Annotated[str, typer.Option(metavar="VERSION", help="The version; the previous holder if left out.")] = "",
    reason: Annotated[str, typer.Option(help="The reason, for the history.")] = "",
    model: Model = "wine_quality",
) -> None:
    """Give Production back to the version that held it before, in one step, after checking that it works."""
    with waiting_for("the store and the model"):
        from workshop.core.promotion import manual

        event = manual.roll_back(_opened(context, model), to or None, reason)
    if event is None:
        print_text(out, f"Version {to} holds Production already; nothing was changed.")
    else:
        archived = f"; version {event.champion} is archived" if event.champion else ""
        if event.champion and int(event.version) > int(event.champion):
            archived = f", which undoes the step back to version {event.champion}{archived}"
        print_text(out, f"Version {event.version} holds Production again{archived}.")


@app.command()
def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version to promote.")],
    reason: Annotated[str, typer.Option(help="Why the gate is overridden, for the history.")],
    model: Model = "wine_quality",
) -> None:
    """Give Production to a version without the gate. The history records an override, with user and reason.

    A version that callers could not use (not loadable, other columns, answers that are not probabilities) is refused.
    """
    with waiting_for("the store and the model"):
        from workshop.core.promotion import manual

        event = manual.override(_opened(context, model), version, reason)
    if event is None:
        print_text(out, f"Version {version} holds Production already; nothing was changed.")
    elif event.champion is None:
        print_text(out, f"Version {version} holds Production, as an override of the gate.")
    else:
        print_text(out, f"Version {version} holds Production, as an override; version {event.champion} is archived.")


def _opened(context: typer.Context, model: str) -> "Slots":
    """Return the slots of a model, for a command that ends well even if its output can't be written."""
    from workshop.core.registry import mlflow_store
    from workshop.core.registry.slots import open_slots

    context.with_resource(output_may_fail())
    return open_slots(mlflow_store.connect(), model)
