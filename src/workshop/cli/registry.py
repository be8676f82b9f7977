"""The commands about versions and slots: which holds which, what happened, and what a person may do about it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from workshop.cli.output import output_may_fail
from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings

app = typer.Typer()
out = Console()


def _checked(model: str) -> str:
    from workshop.core.parameters import check_parameter

    return str(check_parameter("model_name", model, str))


Model = Annotated[str, typer.Option("--model", help="The registered model.", callback=_checked)]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def status(model: Model = "wine_quality", as_json: AsJson = False) -> None:
    """Say which version of the model holds which slot."""
    from workshop.cli import status as registry

    found = registry.read(model)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        out.print(registry.as_table(found))


@app.command()
def history(
    model: Model = "wine_quality",
    as_json: AsJson = False,
    replay: Annotated[
        int | None, typer.Option(metavar="N", help="Compute decision N again from its record, and compare.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Where the picture goes; `history.png` in the kit's home unless you say.")
    ] = None,
) -> None:
    """Show what was promoted, rejected, rolled back and overridden, by whom and why, as a table and as a picture.

    With `--replay N` it ends with 0 when every figure of that decision comes out as it was recorded, with 1 when not.
    """
    from workshop.cli import history_table as events

    if replay is not None:
        event, differences = events.replayed(model, replay)
        if differences:
            raise WorkshopError(f"The {event.title} does not come out as recorded: {'; '.join(differences)}.")
        out.print(
            f"The {escape(event.title)} comes out as recorded, in every figure: {escape(event.reason)}", soft_wrap=True
        )
        return
    found = events.read(model)
    if as_json:
        print(json.dumps(events.as_json(model, found), indent=2))
        return
    if not found:
        out.print(f"Nothing has happened to {model} yet: `workshop run --action deployment` makes a start.")
        return
    out.print(events.as_table(model, found))
    path = picture or current_settings().home / "history.png"
    events.draw(found, path)
    out.print(f"Picture: {escape(str(path))}", soft_wrap=True, highlight=False)


@app.command()
def rollback(
    context: typer.Context,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="The version; the one that held it before if left out.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    model: Model = "wine_quality",
) -> None:
    """Give Production back to the version that held it before, in one step, after making sure that it works."""
    from workshop.core.promotion import manual
    from workshop.core.registry import mlflow_store
    from workshop.core.registry.slots import open_slots

    context.with_resource(output_may_fail())
    event = manual.roll_back(open_slots(mlflow_store.connect(), model), to or None, reason)
    if event is None:
        out.print(f"Version {to} holds Production already; nothing was changed.")
    else:
        archived = f"; version {event.champion} is archived" if event.champion else ""
        out.print(f"Version {event.version} holds Production again{archived}.")


@app.command()
def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is to hold Production.")],
    reason: Annotated[str, typer.Option(help="Why the gate is overridden, for the history.")],
    model: Model = "wine_quality",
) -> None:
    """Give Production to a version without asking the gate. It is recorded as an override, with who and why.

    A version that callers could not use (not loadable, other columns, answers that are no probabilities) is refused.
    """
    from workshop.core.promotion import manual
    from workshop.core.registry import mlflow_store
    from workshop.core.registry.slots import open_slots

    context.with_resource(output_may_fail())
    event = manual.override(open_slots(mlflow_store.connect(), model), version, reason)
    if event is None:
        out.print(f"Version {version} holds Production already; nothing was changed.")
    elif event.champion is None:
        out.print(f"Version {version} holds Production, as an override of the gate.")
    else:
        out.print(f"Version {version} holds Production, as an override; version {event.champion} is archived.")
