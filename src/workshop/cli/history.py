"""`workshop history`: the events of a registered model, and a decision computed again."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kit_common.terminal import print_text
from workshop.cli.options import AsJson, Model
from workshop.cli.output import waiting_for
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import current_settings

if TYPE_CHECKING:
    from workshop.core.promotion.event import Event
    from workshop.core.promotion.history import History

app = typer.Typer()
out = Console()
_WIDE = 80
"""Columns that the table needs."""
_LAST = 20
"""Events in the table, unless `--last` sets another number."""
_COLOURS = {"promotion": "green", "override": "yellow", "rollback": "cyan", "rejection": "magenta", "refusal": "red"}


@app.command()
def history(
    model: Model = "wine_quality",
    as_json: AsJson = False,
    replay: Annotated[
        int | None, typer.Option(metavar="N", help="Compute decision N again from its record, and compare.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help=f"Only the newest N events; {_LAST} if left out, with --json all."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="The file of the picture; `history.png` in the kit's home if left out.")
    ] = None,
) -> None:
    """Show promotions, rejections, rollbacks and overrides, with user and reason, as a table and as a picture.

    With `--replay N` the command ends with 0 if every recomputed figure equals the recorded one, else with 1.
    """
    with waiting_for("the store"):
        from workshop.core.promotion.history import History
        from workshop.core.registry import mlflow_store

        client = mlflow_store.connect()
        recorded = History(client, model)
    if replay is not None:
        _replay(recorded, replay)
        return
    with waiting_for("the store"):
        most = last or (0 if as_json else _LAST)
        events = recorded.newest(most) if most else recorded.events()
    if as_json:
        print(json.dumps(for_programs(model, events), indent=2))
        return
    if not events:
        print_text(out, f"{model} has no events yet: start with `workshop run --action deployment`.")
        return
    out.print(as_table(model, events, out.width))
    if earlier := events[0].number - 1:
        print_text(out, f"Earlier events: {earlier:,}; `workshop history --last {events[-1].number}` shows all.")
    path = picture or current_settings().home / "history.png"
    with waiting_for("the picture"):
        draw(events, path)
    out.print(f"Picture: {escape(str(path))}", soft_wrap=True, highlight=False)


def _replay(recorded: "History", number: int) -> None:
    """Compute a decision again, and print that it is as recorded.

    Raises:
        WorkshopError: the event is not found, or a figure differs.
    """
    from workshop.core.promotion import replay

    event = recorded.event(number)
    if event is None:
        newest = recorded.newest(1)
        total = newest[0].number if newest else 0
        raise WorkshopError(
            f"{recorded.model_name} has no event {number}, only {total}: `workshop history` lists them."
        )
    with waiting_for("the models to answer again"):
        differences = replay.replay(recorded.client, recorded.model_name, event)
    if differences:
        raise WorkshopError(f"The {event.title} is not reproduced: {'; '.join(differences)}.")
    print_text(out, f"The {event.title} is reproduced, every figure as recorded: {event.reason}")


def for_programs(model_name: str, events: "list[Event]") -> dict[str, Any]:
    """Return the JSON document of the events.

    Returns:
        `{"model": …, "events": [{"number", "event", "state", "version", "champion", "reason", "at", "who", "run_name",
        "run_id", "git_commit", "compared_on", "terms", "decision", "problem", "mlflow_run"}, …]}`, oldest first.
    """
    documents = []
    for event in events:
        record = asdict(event)
        del record["token"], record["look"]  # for the next look; the decision has its figures
        renamed = {"event": record.pop("kind"), "compared_on": record.pop("rows"), "mlflow_run": record.pop("id")}
        documents.append({"number": record.pop("number"), **renamed, **record})
    return {"model": model_name, "events": documents}


def as_table(model_name: str, events: "list[Event]", width: int = _WIDE) -> Table:
    """Return the table for a terminal; on a narrow one, each event is a sentence in its row."""
    total = events[-1].number
    title = f"{model_name}: {total} {'event' if total == 1 else 'events'}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    if width < _WIDE:
        for column in ("#", "when (UTC)", "event"):
            table.add_column(column, overflow="fold", no_wrap=column == "when (UTC)")
        for event in events:
            table.add_row(str(event.number), _when(event), escape(_sentence(event)))
        return table
    # A row with "comparison" and "11 over 10" takes 80 columns; what is longer is broken, never cut.
    for column, least in (("#", 1), ("when (UTC)", 11), ("what", 10), ("version", 7), ("lower\nbound", 7)):
        table.add_column(column, overflow="fold", min_width=least)
    table.add_column("who", overflow="fold", min_width=8)
    table.add_column("why", overflow="fold", min_width=10)
    for event in events:
        decision = event.decision or {}
        what = event.kind if event.state == "done" else f"{event.kind}, {event.state}"
        table.add_row(
            str(event.number),
            _when(event),
            f"[{_COLOURS.get(event.kind, 'default')}]{what}[/]",
            f"{event.version} over {event.champion}" if event.champion else event.version,
            "" if decision.get("lower_bound") is None else f"{decision['lower_bound']:+.4f}",
            escape(event.who),
            escape(_why(event)),
        )
    return table


def _when(event: "Event") -> str:
    return event.at[5:16].replace("T", " ")


def _sentence(event: "Event") -> str:
    """Return an event in one sentence, for a terminal that is too narrow for columns."""
    state = "" if event.state == "done" else f" ({event.state})"
    bound = (event.decision or {}).get("lower_bound")
    figure = "" if bound is None else f", lower bound {bound:+.4f}"
    return f"{event.title}{state}, by {event.who}: {_why(event)}{figure}"


def draw(events: "list[Event]", path: Path) -> None:
    """Write the picture of the champions over time, unless the file has one of just these events.

    Raises:
        WorkshopError: the file can't be written.
    """
    if path.suffix not in (".png", ".svg"):
        raise WorkshopError(f"The picture can't be written to {path}: end its name with .png or .svg.")
    digest = hashlib.sha256(json.dumps([asdict(event) for event in events]).encode()).hexdigest()
    try:
        if path.is_file() and digest.encode() in path.read_bytes():
            return
        from workshop.core.promotion import plots

        plots.use_workshop_style()
        path.parent.mkdir(parents=True, exist_ok=True)
        plots.save(plots.history_picture(events), path, digest)
    except OSError as error:
        raise explain_os_error(error) from error


def _why(event: "Event") -> str:
    """Return the verdict, and the guards that failed or could not judge, or else the reason."""
    from workshop.core.promotion.outcome import result_of

    if event.problem or event.decision is None:
        return event.problem or event.reason
    results = [(result_of(guard["passed"]), guard["name"]) for guard in event.decision["guards"]]
    remarkable = [f"{result}: {name}" for result, name in results if result != "passed"]
    return ", ".join([event.decision["verdict"], *remarkable])
