"""`workshop …`: the app with all commands, and the entry point."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from kit_common.errors import UserError
from kit_common.garbage import uncollected
from kit_common.sanitize import visible
from kit_common.terminal import print_text
from workshop.cli import (
    azure,
    check,
    databricks,
    devops,
    docs,
    doctor,
    error_log,
    git_filter,
    history,
    pipelines,
    rehearse,
    run,
    slots,
    status,
)
from workshop.cli import lab as jupyterlab
from workshop.cli.output import output_may_fail, status_of, waiting_for
from workshop.core.errors import WorkshopError
from workshop.core.settings import PACKAGE, current_settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Train, evaluate and deliver a model with the workshop's notebooks, here, without an account, or in a "
    "Databricks workspace.",
)
app.add_typer(run.app)
for module in (status, history, slots, docs, check):
    app.add_typer(module.app)
app.add_typer(doctor.app)
app.add_typer(rehearse.app)
app.add_typer(databricks.app, name="databricks")
app.add_typer(pipelines.app, name="pipelines")
app.add_typer(devops.app, name="devops")
app.add_typer(azure.app, name="azure")
out = Console()
err = Console(stderr=True)
_INTERRUPTED = 130
"""The exit code of typer, without a message, for an interrupted command."""


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Remove the home folder: tables, models, runs, reports, and the team's repository with its pull requests."""
    home = current_settings().home
    if not home.exists():
        out.print(f"Nothing to remove: {home} does not exist.", soft_wrap=True)
        return
    holds_more = any(place.is_relative_to(home.resolve()) for place in (Path("~").expanduser(), PACKAGE))
    content = {each.name for each in home.iterdir()}
    is_ours = (home / "data").is_dir() or (home / "mlflow.db").is_file() or content <= {"errors"}
    if holds_more or not is_ours:
        raise WorkshopError(
            f"{home} does not look like a home of the workshop, so it was not removed: remove it by hand."
        )
    if not yes:
        typer.confirm(f"Remove {home} with its tables, models, runs, and the team's repository if any?", abort=True)
    try:
        removed = _remove(home)
    except OSError as error:
        raise WorkshopError(
            f"Could not remove all of {home} ({error.strerror or error}): remove the rest by hand."
        ) from error
    out.print(f"Removed {removed}.", soft_wrap=True)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the notebooks and the docs; further arguments go to JupyterLab."""
    try:
        git_filter.set_filter()
    except UserError as error:
        err.print(f"The outputs of notebooks stay in commits: {escape(str(error))}", soft_wrap=True)
    if jupyterlab.is_root():
        out.print("JupyterLab runs as root: its notebooks and terminals may change any file.", soft_wrap=True)
    out.print("JupyterLab starts (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    _become(jupyterlab.command(context.args), jupyterlab.environment())


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port, on this machine only.")] = 5000,
) -> None:
    """Serve MLflow's pages of models, experiments and runs for the kit's store.

    They are for looking: MLflow's own "Promote model" button and its editable aliases move a slot without the gate and
    without an event in the history.
    """
    from kit_common.listening import listen

    with listen("127.0.0.1", port) as listener:
        page, pages = _mlflow_pages()
        from workshop.serving.command import answer_on

        address = f"http://127.0.0.1:{port}{page}"
        answer_on(listener, pages, lambda: print(f"MLflow answers on {address} (Ctrl-C ends it)", flush=True))


@app.command()
def serve(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free port.")] = 8080,
    host: Annotated[
        str, typer.Option(help="The address to listen at; with the default, only this machine can connect.")
    ] = "127.0.0.1",
    model: Annotated[str, typer.Option(help="The registered model.")] = "wine_quality",
    slot: Annotated[
        Literal["production", "staging"], typer.Option(help="The slot to follow.", case_sensitive=False)
    ] = "production",
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How often to read the slot.")] = 5.0,
    max_body: Annotated[int, typer.Option(min=1, metavar="MIB", help="The largest request.")] = 16,
) -> None:
    """Serve the version in the slot over HTTP, and switch to each new version without a restart; prints each switch.

    Uses the protocol of `mlflow models serve`; each answer names its model version in the header X-Model-Version.
    /model describes the version, and /metrics has metrics for Prometheus.
    """
    status = context.with_resource(status_of("the store and the model"))
    with uncollected():
        from workshop.core.registry.slots import Slot
        from workshop.serving.app import MEBIBYTE
        from workshop.serving.command import serve_slot

    context.with_resource(output_may_fail())

    def report(line: str) -> None:
        status.stop()
        print(line, flush=True)

    serve_slot(model, Slot(slot), host, port, every, max_body * MEBIBYTE, report)


def main() -> NoReturn:
    """Run the command line; every error becomes one sentence, and an unexpected one leaves its traceback in a log."""
    # An editor's backend may exist only in the editor, and matplotlib reads the variable on import.
    os.environ["MPLBACKEND"] = "agg"
    if isinstance(sys.stdout, TextIOWrapper):
        # A character that the terminal's encoding does not have, as in a path, must not fail a run that moved a slot.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if sys.flags.optimize > 1:
            raise WorkshopError(
                "Python runs without docstrings (PYTHONOPTIMIZE=2, or -OO), which some libraries need: unset it."
            )
        app()
    except KeyboardInterrupt:
        _end_stopped()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _end_stopped()
        raise
    except Exception as error:  # noqa: BLE001  # the user gets one sentence for any of them
        explained = error_log.explain(error)
        print_text(err, f"[bold red]✗[/] {escape(visible(str(explained)))}", markup=True)
        sys.exit(explained.exit_code)
    sys.exit(0)


def _mlflow_pages() -> "tuple[str, ASGIApp]":
    """Return the path of the registered model's page, and MLflow's pages as an app."""
    from workshop.runner import interruption

    interruption.install()
    try:
        with waiting_for("MLflow to start"):
            from workshop.core.parameters import Parameters
            from workshop.core.registry import mlflow_store
            from workshop.serving import mlflow_pages

            mlflow_pages.require_embedded()
            page = mlflow_pages.page_of(mlflow_store.connect(), Parameters().model_name)
            return page, mlflow_pages.build()
    finally:  # during an import a KeyboardInterrupt may get lost, or compiled code may turn it into another error
        interruption.check()


def _end_stopped() -> NoReturn:
    err.print("[yellow]Stopped.[/]")
    sys.exit(1)


def _remove(home: Path) -> str:
    """Remove a home, or only its content if the folder is a link or a mounted volume; return what was removed."""
    for entry in home.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if home.is_symlink():
        return f"the content of {home}, which is a link to {home.resolve()}"
    if home.is_mount():
        return f"the content of {home}, which is a mounted volume"
    home.rmdir()
    return str(home)


def _become(command: list[str], environment: Mapping[str, str] = os.environ) -> NoReturn:
    """Replace this process by another program, or on Windows run it and wait."""
    sys.stdout.flush()
    # JupyterLab shows pictures; the command line only writes them.
    variables = {name: value for name, value in environment.items() if name != "MPLBACKEND"}
    if sys.platform == "win32":
        sys.exit(subprocess.run(command, check=False, env=variables).returncode)
    os.execve(command[0], command, variables)
