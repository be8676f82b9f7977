"""`workshop …`: what a person and a pipeline type. Thin: each command says what it is and calls who does it."""

import os
import shutil
import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from workshop import cli_databricks, cli_devops, cli_doctor, cli_pipelines, cli_registry
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import PACKAGE, current_settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Train, judge and deliver a model with the workshop's notebooks, on this machine, without an account.",
)
app.add_typer(cli_registry.app)
app.add_typer(cli_doctor.app)
app.add_typer(cli_databricks.app, name="databricks")
app.add_typer(cli_pipelines.app, name="pipelines")
app.add_typer(cli_devops.app, name="devops")
out = Console()
err = Console(stderr=True)


class Action(StrEnum):
    """The actions that a run can be for."""

    INTEGRATION = "integration"
    DEPLOYMENT = "deployment"


class Target(StrEnum):
    """Where a run's notebooks can be executed."""

    LOCAL = "local"
    DATABRICKS = "databricks"


class Served(StrEnum):
    """The slots that a consumer may follow."""

    PRODUCTION = "production"
    STAGING = "staging"


@app.command()
def run(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    action: Annotated[
        Action,
        typer.Option(
            help="integration: compare on held-out test wines, a better candidate takes Staging. "
            "deployment: compare on production wines, a better candidate takes Production.",
            case_sensitive=False,
        ),
    ] = Action.INTEGRATION,
    run_name: Annotated[
        str,
        typer.Option(
            help="Keeps this run's files, experiment and candidate apart from others'; a branch name will do."
        ),
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter of the notebooks; repeat for more."),
    ] = None,
    notebooks: Annotated[str, typer.Option(help="Run only these, in this order, as in 1_1 or 1_2,1_3.")] = "",
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
            help="Also put the notebooks, the report, summary.json and what a pipeline's page takes into this folder.",
        ),
    ] = None,
    target: Annotated[
        Target,
        typer.Option(
            help="Where the notebooks run; docs/databricks.md says what databricks takes.", case_sensitive=False
        ),
    ] = Target.LOCAL,
    follow: Annotated[
        int | None,
        typer.Option(metavar="RUN_ID", help="Start nothing: follow a run on Databricks that was started before."),
    ] = None,
    cell_timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long one cell may run.")
    ] = None,
) -> None:
    """Run the notebooks 1_1, 1_2 and 1_3 in order, each in a kernel of its own.

    Leaves the executed notebooks, a report and summary.json in a folder of its own below `.workshop/runs`.

    Ends with 0 when the new model was better (or none holds Production yet), 3 when everything ran but the new model is
    not better or a guard of the verdict says no, 1 when something failed or callers could not use the new model, and 2
    when the command line was wrong. Production changes hands in 1_3 or not at all, and the last lines say which.

    For example: `workshop run --action deployment --scoring`, or `workshop run --run-name dev-ana -p seed=7`.
    """
    parameters = _named_values(parameter or [])
    from workshop.headless import interruption

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interruption.ask)
    try:
        if target is Target.LOCAL:
            # Whatever kernels need is imported in another process while this one imports what it needs itself.
            from workshop.headless import kernels

            kernels.begin_warming()
        from workshop.core.parameters import DevopsAction
        from workshop.headless import plan, publication
        from workshop.headless import run as runner
        from workshop.headless.progress import shown_on
    except Exception:  # compiled code turns an interrupt during its import into an error of its own
        interruption.check()
        raise
    if publish is not None:
        publication.check_folder(publish)
    request = plan.Request(
        action=DevopsAction(action.value),
        run_name=run_name,
        parameters=parameters,
        notebooks=tuple(name for name in notebooks.replace(",", " ").split()),
        scoring=scoring,
        compare_only=compare_only,
        target=target.value,
        cell_timeout=cell_timeout,
    )
    try:
        with shown_on(out) as progress:
            summary = _followed(follow, target, progress) if follow is not None else runner.run(request, progress)
    except KeyboardInterrupt:
        raise WorkshopError("Stopped before or after the notebooks, so there is no report: run it again.") from None
    if publish is not None:
        publication.publish(summary, publish)
    _print_summary(summary)
    raise typer.Exit(summary.exit_code)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Remove everything that runs have left behind: tables, models, runs, reports."""
    home = current_settings().home
    if not home.exists():
        out.print(f"Nothing to remove: there is no {home}.", soft_wrap=True)
        return
    if not (home / "data").is_dir() and not (home / "mlflow.db").is_file() and any(home.iterdir()):
        raise WorkshopError(
            f"{home} does not look like a home of the workshop, so it is left alone: remove it by hand."
        )
    if not yes:
        typer.confirm(f"Remove {home} with all tables, models and runs in it?", abort=True)
    try:
        shutil.rmtree(home)
    except OSError as error:
        raise WorkshopError(f"Could not remove all of {home} ({error.strerror}): remove the rest by hand.") from error
    out.print(f"Removed {home}.", soft_wrap=True)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the notebooks; further arguments are JupyterLab's."""
    _become([sys.executable, "-m", "jupyterlab", str(PACKAGE / "notebooks"), *context.args])


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen, on this machine only.")] = 5000,
) -> None:
    """Open MLflow's own pages on the kit's store: experiments, runs, models."""
    from workshop.core import store

    settings = current_settings()
    if not store.is_embedded(settings):
        address = store.without_credentials(store.tracking_uri())
        raise WorkshopError(f"MLFLOW_TRACKING_URI names a server with pages of its own: open {address}.")
    store.connect()
    # MLflow's job runners (for the evaluation of generative models) take longer to start than all the rest.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    out.print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)")
    _become(
        [
            sys.executable,
            "-m",
            "mlflow",
            "ui",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--backend-store-uri",
            store.embedded_uri(settings),
            "--default-artifact-root",
            (settings.home / "artifacts").as_uri(),
        ]
    )


@app.command()
def serve(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any port that is free.")] = 8080,
    host: Annotated[
        str, typer.Option(help="The address to listen at; as it stands, only this machine can connect.")
    ] = "127.0.0.1",
    model: Annotated[str, typer.Option(help="The registered model.")] = "wine_quality",
    slot: Annotated[Served, typer.Option(help="The slot to follow.", case_sensitive=False)] = Served.PRODUCTION,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How often to look who holds the slot.")
    ] = 5.0,
    max_body: Annotated[int, typer.Option(min=1, metavar="MIB", help="The largest request.")] = 16,
) -> None:
    """Answer over HTTP with whatever holds the slot, and follow it from version to version without a restart.

    Speaks the protocol of `mlflow models serve`; each answer names its model version in the header X-Model-Version.
    /model says what is held, and /metrics says it to Prometheus.
    """
    from workshop.core.slots import Slot
    from workshop.serving.app import MEBIBYTE
    from workshop.serving.command import serve_slot

    def tell(sentence: str) -> None:
        out.print(sentence, markup=False, highlight=False, soft_wrap=True)

    serve_slot(model, Slot(slot.value), host, port, every, max_body * MEBIBYTE, tell)


def main() -> NoReturn:
    """Run the command line; an error that a person can put right is one sentence."""
    try:
        app()
    except WorkshopError as error:
        err.print(f"[bold red]✗[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2 if type(error).__name__ == "RequestError" else 1)
    except OSError as error:
        err.print(f"[bold red]✗[/] {escape(str(explain_os_error(error)))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("[yellow]Stopped.[/]")
        sys.exit(1)
    sys.exit(0)


def _followed(run_id: int, target: Target, progress: Any) -> Any:
    if target is not Target.DATABRICKS:
        raise typer.BadParameter(
            "Only a run on Databricks can be followed: add --target databricks.", param_hint="--follow"
        )
    from workshop.headless.databricks.follow_up import follow_run

    return follow_run(run_id, progress)


def _named_values(pairs: list[str]) -> dict[str, str]:
    named = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE.", param_hint="-p")
        named[name] = value
    return named


def _print_summary(summary: Any) -> None:
    for result in summary.notebooks:
        if result.error is not None:
            out.print(f"\n[bold]{result.error.notebook}, {result.error.place}:[/]")
            source = "\n".join(f"    {line}" for line in result.error.source.splitlines())
            out.print(source, markup=False, highlight=False, soft_wrap=True)
    colour = {0: "green", 3: "yellow"}.get(summary.exit_code, "red")
    out.print(f"\n[bold {colour}]{escape(summary.sentence)}[/]", soft_wrap=True, highlight=False)
    if summary.outcome is not None and summary.status != "failed":
        for said in (summary.outcome["decision"]["reason"], *summary.outcome["decision"]["notes"]):
            out.print(escape(said), soft_wrap=True, highlight=False)
    out.print(f"Report: {_short(Path(summary.report))}", soft_wrap=True, highlight=False)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _become(command: list[str]) -> NoReturn:
    """Go on as another program, or, where an operating system has no such thing, wait for it."""
    sys.stdout.flush()
    if sys.platform == "win32":
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(command[0], command)
