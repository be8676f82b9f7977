"""The commands `triggered`, `check` and `run` for the checkout around the current folder."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from azure_devops_local import host
from kit_common.sanitize import visible
from kit_common.terminal import print_text

out = Console()


def triggered(
    branch: Annotated[str, typer.Option(metavar="NAME", help="The branch that the push goes to.")],
    changed: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A changed file, from the repository's root; - reads one a line from stdin."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Further changed files.")] = None,
    message: Annotated[str, typer.Option(metavar="TEXT", help="The messages of the pushed commits.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the pipelines that a push would start, and for each of the others the rule that prevents it.

    The pipeline files are those of the current checkout, with uncommitted changes. The exit code is 1 if one of them is
    wrong; its line has the error.

    For example: `triggered --branch main --changed docs/index.md databricks.yml`.
    """
    from azure_devops_local.language import documents, triggers
    from azure_devops_local.server import changes

    ref = f"refs/heads/{changes.check_branch(branch)}"
    paths = [*(changed or []), *(more or [])]
    if "-" in paths:
        piped = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
        paths = [path for path in paths if path != "-"] + [line for line in piped if line]
    files = documents.WorkTree(changes.top_level(Path.cwd()))
    verdicts = triggers.decide(files, triggers.Push(ref, paths, message))
    if as_json:
        started = [name for name, verdict in verdicts.items() if verdict.triggered]
        refused = {name: verdict.rule for name, verdict in verdicts.items() if not verdict.triggered}
        print(json.dumps({"triggered": started, "not": refused}, indent=2))
    elif not verdicts:
        out.print(f"There are no pipelines in {documents.FOLDER}, so a push starts none.")
    for name, verdict in verdicts.items() if not as_json else ():
        mark = "[green]✓[/]" if verdict.triggered else "[red]✗[/]"
        print_text(out, f"{mark} {_shown(name)}: {_shown(verdict.rule)}", markup=True)
    if any(verdict.broken for verdict in verdicts.values()):
        raise typer.Exit(1)


def check(
    ready: Annotated[
        bool, typer.Option("--ready", help="Fail if a value that the pipelines need is a placeholder.")
    ] = False,
) -> None:
    """Check the pipeline files for mistakes that a schema does not find, and list the values that are still to be set.

    The exit code is 1 if something is wrong, and with `--ready` also if `variables.yml` holds a placeholder that its
    `target` and `signIn` need; the target `local` needs none.
    """
    from azure_devops_local.check import VARIABLES, problems, scheduled, unfilled
    from azure_devops_local.language import documents
    from azure_devops_local.server import changes

    tree, settings = documents.WorkTree(changes.top_level(Path.cwd())), host.current()
    mistakes = problems(tree, settings.choices)
    for problem in mistakes:
        print_text(out, f"[red]✗[/] {_shown(problem)}", markup=True)
    for schedule in scheduled(tree):
        print_text(out, f"[yellow]![/] {_shown(str(schedule))}", markup=True)
    unset = unfilled(tree, settings.used_only_with)
    for setting in unset:
        place = _shown(f"{setting.place}: {setting.name} still holds {setting.value}. {setting.where}")
        print_text(out, f"[yellow]![/] {place}", markup=True)
    if not mistakes:
        remaining = f"{len(unset)} values in {VARIABLES} are" if unset else "no value that they need is"
        print_text(out, f"[green]✓[/] The pipelines are in order; {remaining} a placeholder.", markup=True)
    if mistakes or (ready and unset):
        raise typer.Exit(1)


def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE", help="The pipeline's file, as in cd.yml.")],
    branch: Annotated[str, typer.Option(metavar="NAME", help="The branch; the default is the current one.")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the pipeline; repeat for more."),
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Approve each deployment without a question.")] = False,
) -> None:
    """Run a pipeline on this machine for the last commit of a branch, in a separate folder, as Azure DevOps would.

    The exit code is 0 if the run succeeded, with or without issues, 1 if it failed or was stopped, and 2 if the command
    line was wrong.

    For example: `run cd.yml --approve`, or `run cd.yml --param scoring=true`.
    """
    import signal

    from azure_devops_local.server import changes
    from azure_devops_local.views import terminal

    parameters = {}
    for pair in param or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE.", param_hint="--param")
        parameters[name] = value
    repository = changes.top_level(Path.cwd())
    planned = terminal.plan(pipeline, branch, parameters, repository)
    # SIGTERM stops the run as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ended = terminal.execute(planned, repository, out, approve)
    if ended.result in {"failed", "canceled"}:
        raise typer.Exit(1)


def _shown(text: str) -> str:
    return escape(visible(text))
