"""`workshop run`: the command that trains, compares and delivers, for users and pipelines."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from kit_common.terminal import print_text
from workshop.cli.output import output_may_fail, waiting_for
from workshop.core.errors import WorkshopError

app = typer.Typer()
out = Console()


@app.command()
def run(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    context: typer.Context,
    action: Annotated[
        Literal["integration", "deployment"],
        typer.Option(
            help="integration: compare on held-out test wines, a better candidate takes Staging. "
            "deployment: compare on production wines, a better candidate takes Production.",
            case_sensitive=False,
        ),
    ] = "integration",
    run_name: Annotated[
        str,
        typer.Option(help="Separates this run's files, experiment and candidate from others', as a branch name does."),
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter of the notebooks; repeat for more."),
    ] = None,
    notebooks: Annotated[
        list[str] | None,
        typer.Option(help="Run only these, in this order, as in 1_1 or 1_2,1_3; repeat for more."),
    ] = None,
    scoring: Annotated[
        bool, typer.Option("--scoring", help="Score with the model in Production at the end (1_4).")
    ] = False,
    compare_only: Annotated[
        bool, typer.Option("--compare-only", help="Compare and report, and leave every slot as it is.")
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write the notebooks, the report, summary.json and a pipeline's page to this folder.",
        ),
    ] = None,
    target: Annotated[
        Literal["local", "databricks"],
        typer.Option(
            help="Where the notebooks run; docs/databricks.md lists what databricks needs.", case_sensitive=False
        ),
    ] = "local",
    follow: Annotated[
        int | None,
        typer.Option(metavar="RUN_ID", help="Follow an earlier run on Databricks instead of starting one."),
    ] = None,
    cell_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long one cell may run.")
    ] = None,
) -> None:
    """Run the notebooks 1_1, 1_2 and 1_3 in order, each in a kernel of its own.

    Leaves the executed notebooks, a report and summary.json in a folder of its own below `.workshop/runs`.

    Exit codes: 0 if the new model is better, or the first one; 3 if it is not better, or a guard of the verdict failed;
    1 if a notebook failed, or callers could not use the new model; 2 if the command line is wrong.

    For example: `workshop run --action deployment --scoring`, or `workshop run --run-name dev-ana -p seed=7`.
    """
    context.with_resource(output_may_fail())
    parameters = _named_values(parameter or [])
    if follow is not None:
        _require_no_option_besides(context, "follow", "publish", *(["target"] if target == "databricks" else []))
    from workshop.core.parameters import DevopsAction
    from workshop.runner import interruption, publication
    from workshop.runner.target import Request

    interruption.install()
    if publish is not None:
        publication.check_folder(publish)
    request = Request(
        action=DevopsAction(action),
        run_name=run_name,
        parameters=parameters,
        notebooks=tuple(name for each in notebooks or [] for name in each.replace(",", " ").split()),
        scoring=scoring,
        compare_only=compare_only,
        target=target,
        cell_timeout=cell_timeout,
    )
    if follow is None and request.decides:
        print_text(out, request.purpose)
    try:
        if target == "local" and follow is None:
            # Another process imports what kernels need while this one does its own imports.
            from workshop.runner import kernels

            kernels.begin_warming()
        with waiting_for("the libraries"):
            from workshop.runner import run as runner
            from workshop.runner.progress import shown_on
    finally:  # during an import a KeyboardInterrupt may get lost, or compiled code may turn it into another error
        interruption.check()
    try:
        with shown_on(out) as progress:
            if follow is None:
                summary = runner.run(_target(request), request, progress)
            else:
                from workshop.databricks.follow import follow_run

                summary = follow_run(follow, progress)
    except KeyboardInterrupt:
        raise WorkshopError("Stopped before or after the notebooks, so there is no report: run it again.") from None
    if publish is not None:
        publication.publish(summary, publish)
    _print_summary(summary)
    raise typer.Exit(summary.exit_code)


def _target(request: Any) -> Any:
    if request.target == "databricks":
        from workshop.databricks.target import DatabricksTarget

        return DatabricksTarget(request)
    from workshop.runner.local import LocalTarget

    return LocalTarget()


def _require_no_option_besides(context: typer.Context, *allowed: str) -> None:
    """Refuse options that can't be applied to a run that was started before."""
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"the options of a run are fixed at its start: leave {option.opts[-1]} out.", param_hint="--follow"
            )


def _named_values(pairs: list[str]) -> dict[str, str]:
    named = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE.", param_hint="-p")
        named[name] = value
    return named


def _print_summary(summary: Any) -> None:
    from workshop.core.promotion.outcome import MARKS, MEANINGS

    for result in summary.notebooks:
        if result.error is not None and result.error.cell:
            out.print(f"\n[bold]{result.error.notebook}, {result.error.place}:[/]")
            source = "\n".join(f"    {line}" for line in result.error.source.splitlines())
            out.print(source, markup=False, highlight=False, soft_wrap=True)
    colour = MEANINGS[summary.status].colour
    out.print()
    print_text(out, summary.sentence, style=f"bold {colour}")
    if summary.outcome is not None and summary.status != "failed":
        decision = summary.outcome.decision
        unjudged = [f"{MARKS['not judged']} {each.name}, not judged: {each.finding}" for each in decision.not_judged]
        for text in (decision.reason, *unjudged, *decision.notes):
            print_text(out, text)
    out.print(f"Report: {_short(Path(summary.report))}", soft_wrap=True, highlight=False)
    if summary.run_page and summary.outcome is not None:
        stages = "" if summary.model.count(".") == 2 else "WORKSHOP_SLOTS=stage "
        command = f"MLFLOW_TRACKING_URI=databricks {stages}workshop status --model {summary.model}"
        out.print(f"Slots now: {command}", soft_wrap=True, highlight=False, markup=False)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
