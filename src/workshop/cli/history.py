"""`workshop history`: the events of a registered model, and a decision computed again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workshop.cli.options import AsJson, Model
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings

if TYPE_CHECKING:
    from workshop.core.promotion.history import Event

app = typer.Typer()
out = Console()
_COLOURS = {"promotion": "green", "override": "yellow", "rollback": "cyan", "rejection": "magenta", "refusal": "red"}


@app.command()
def history(
    model: Model = "wine_quality",
    as_json: AsJson = False,
    replay: Annotated[
        int | None, typer.Option(metavar="N", help="Compute decision N again from its record, and compare.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="The file of the picture; `history.png` in the kit's home if left out.")
    ] = None,
) -> None:
    """Show what was promoted, rejected, rolled back and overridden, by whom and why, as a table and as a picture.

    With `--replay N` the command ends with 0 when every figure of that decision comes out as recorded, else with 1.
    """
    if replay is not None:
        event, differences = replayed(model, replay)
        if differences:
            raise WorkshopError(f"The {event.title} does not come out as recorded: {'; '.join(differences)}.")
        out.print(
            f"The {escape(event.title)} comes out as recorded, in every figure: {escape(event.reason)}", soft_wrap=True
        )
        return
    events = read(model)
    if as_json:
        print(json.dumps(for_programs(model, events), indent=2))
        return
    if not events:
        out.print(f"Nothing has happened to {model} yet: start with `workshop run --action deployment`.")
        return
    out.print(as_table(model, events))
    path = picture or current_settings().home / "history.png"
    draw(events, path)
    out.print(f"Picture: {escape(str(path))}", soft_wrap=True, highlight=False)


def read(model_name: str) -> "list[Event]":
    """Return all events, oldest first.

    Raises:
        WorkshopError: the store can't be reached.
    """
    from workshop.core.promotion.history import History
    from workshop.core.registry import mlflow_store

    return History(mlflow_store.connect(), model_name).events()


def for_programs(model_name: str, events: "list[Event]") -> dict[str, Any]:
    """Return the JSON document of the events.

    Returns:
        `{"model": …, "events": [{"number", "event", "state", "version", "champion", "reason", "at", "who", "run_name",
        "run_id", "git_commit", "compared_on", "terms", "decision", "problem", "mlflow_run"}, …]}`, oldest first.
    """
    return {"model": model_name, "events": [_as_json(number, event) for number, event in enumerate(events, 1)]}


def as_table(model_name: str, events: "list[Event]") -> Table:
    """Return the table for a terminal."""
    title = f"{model_name}: {len(events)} {'event' if len(events) == 1 else 'events'}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("#", "when (UTC)", "what", "version", "AUC gain >="):
        table.add_column(column, no_wrap=True, min_width=len(str(len(events))))
    table.add_column("who", overflow="fold", min_width=8)
    table.add_column("why", overflow="fold", min_width=14)
    for number, event in enumerate(events, 1):
        decision = event.decision or {}
        what = event.kind if event.state == "done" else f"{event.kind}, {event.state}"
        table.add_row(
            str(number),
            event.at[5:16].replace("T", " "),
            f"[{_COLOURS.get(event.kind, 'default')}]{what}[/]",
            f"{event.version} over {event.champion}" if event.champion else event.version,
            "" if decision.get("lower_bound") is None else f"{decision['lower_bound']:+.4f}",
            escape(event.who),
            escape(_why(event)),
        )
    return table


def draw(events: "list[Event]", path: Path) -> None:
    """Write the picture of the champions over time.

    Raises:
        WorkshopError: the file can't be written.
    """
    from workshop.core.promotion import plots

    if path.suffix not in (".png", ".svg"):
        raise WorkshopError(f"The picture can't be written to {path}: end its name with .png or .svg.")
    plots.use_workshop_style()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plots.save(plots.history_picture(events), path)
    except OSError as error:
        raise explain_os_error(error) from error


def replayed(model_name: str, number: int) -> "tuple[Event, list[str]]":
    """Compute the decision of an event again.

    Args:
        model_name: the registered model.
        number: the event's number in the table, from 1.

    Returns:
        The event, and what differs from its record.

    Raises:
        WorkshopError: there is no such event, or its record contains no comparison.
    """
    from workshop.core.promotion.history import History
    from workshop.core.promotion.replay import replay
    from workshop.core.registry import mlflow_store

    client = mlflow_store.connect()
    events = History(client, model_name).events()
    if not 1 <= number <= len(events):
        raise WorkshopError(f"{model_name} has no event {number}, only {len(events)}: `workshop history` lists them.")
    event = events[number - 1]
    return event, replay(client, model_name, event)


def _as_json(number: int, event: "Event") -> dict[str, Any]:
    record = asdict(event)
    del record["token"]  # tells records apart, not events
    renamed = {"event": record.pop("kind"), "compared_on": record.pop("rows"), "mlflow_run": record.pop("id")}
    return {"number": number, **renamed, **record}


def _why(event: "Event") -> str:
    """Return what the other columns do not contain."""
    if event.problem or event.decision is None:
        return event.problem or event.reason
    failed = [guard["name"] for guard in event.decision["guards"] if not guard["passed"]]
    return ", ".join([event.decision["verdict"], *(f"«{name}» says no" for name in failed)])
