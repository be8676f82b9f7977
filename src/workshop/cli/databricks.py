"""`workshop databricks …`: the commands besides `workshop run --target databricks`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workshop.cli.options import checked_model
from workshop.cli.output import status_of

app = typer.Typer(
    no_args_is_help=True,
    help="Databricks: write the bundle, cancel leftovers; see also `workshop run --target databricks`.",
)
out = Console()


@app.command()
def bundle(
    model: Annotated[
        str,
        typer.Option(
            help="The registered model; main.workshop.wine_quality if left out.",
            callback=lambda model: model and checked_model(model),
        ),
    ] = "",
    scoring: Annotated[
        bool, typer.Option("--scoring", help="Score with the model in Production at the end (1_4).")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; end with 1 if the file differs from these options and settings."),
    ] = False,
) -> None:
    """Write databricks.yml, with which the Databricks CLI deploys the same job that `workshop run` submits.

    The settings are those of `workshop run --target databricks`, such as WORKSHOP_DATABRICKS_COMPUTE.

    For example: `workshop databricks bundle --model main.workshop.wine_quality`, then `databricks bundle deploy`.
    """
    from workshop.databricks import bundle as bundles  # the SDK takes a second to import
    from workshop.databricks.settings import databricks_settings

    content = bundles.text(databricks_settings(), model or bundles.MODEL, scoring=scoring)
    path, done = (bundles.check(content), "is up to date") if check else (bundles.write(content), "is written")
    out.print(f"{path} {done}.", markup=False, highlight=False, soft_wrap=True)


@app.command()
def cancel() -> None:
    """Cancel runs on Databricks that this machine has started and no process follows any more.

    Such runs remain when `workshop run` is killed or loses the connection. A cancelled pipeline calls this command in
    case the signal did not reach its run. A run that a process still follows is not cancelled.
    """
    from workshop.databricks import leftovers
    from workshop.runner.progress import shown_on

    with shown_on(out) as progress:
        count = leftovers.cancel(progress)
    if not count:
        out.print("Nothing to cancel: this home has no leftover run on Databricks.")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def local(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND…]", help="Run this with the workspace, then end it.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The folder for its content; if left out, all of it is removed at the end.")
    ] = None,
) -> None:
    """Start a Databricks workspace on this machine, without an account, and serve it until Ctrl-C.

    Prints the variables to export in a second terminal. There, `workshop doctor --target databricks` and
    `workshop run --target databricks` use this workspace: notebooks run in real kernels, MLflow is a real server.

    With a command, the workspace is there as long as the command runs, and the exit code is the command's. For
    example: `workshop databricks local -- workshop doctor --target databricks`.
    """
    from databricks_local.command import run_with, serve
    from databricks_local.mlflow_server import StartError
    from workshop.core.errors import WorkshopError

    try:
        with status_of("an MLflow server to start") as status:

            def show(line: str) -> None:
                status.stop()
                print(line, flush=True)

            if not command:
                serve(folder, show)
                return
            code = run_with(folder, command, status.stop)
    except StartError as error:
        raise WorkshopError(str(error)) from error
    raise typer.Exit(code)
