"""The commands `triggered`, `check` and `run`: the pipelines of the checkout around the current folder."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from azure_devops_local import host
from kit_common.sanitize import visible

out = Console()


def triggered(
    branch: Annotated[str, typer.Option(metavar="NAME", help="The branch that the push goes to.")],
    changed: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A changed file, from the repository's root; - reads one a line from stdin."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Further changed files.")] = None,
    message: Annotated[str, typer.Option(metavar="TEXT", help="The message of the newest commit.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say which pipelines a push would start, and for each that it would not, which rule says no.

    The pipeline files are those of the checkout that you are in, as they lie there now. Ends with 1 when one of them
    can't be understood: its line says why.

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
        out.print(
            f"{mark} {_shown(name)}: {_shown(verdict.rule)}",
            soft_wrap=True,
            highlight=False,
            emoji=False,
        )
    if any(verdict.broken for verdict in verdicts.values()):
        raise typer.Exit(1)


def check(
    ready: Annotated[
        bool, typer.Option("--ready", help="Fail as long as a value that they need holds a placeholder.")
    ] = False,
) -> None:
    """Check the pipeline files for what a schema can't see, and list the values that have still to be filled in.

    Ends with 1 when something is wrong, and with `--ready` also as long as `variables.yml` holds a placeholder that its
    `target` and its `signIn` need: the target `local` needs none.
    """
    from azure_devops_local.check import VARIABLES, problems, unfilled
    from azure_devops_local.language import documents
    from azure_devops_local.server import changes

    tree, around = documents.WorkTree(changes.top_level(Path.cwd())), host.current()
    found = problems(tree, around.choices)
    for problem in found:
        out.print(f"[red]✗[/] {_shown(problem)}", soft_wrap=True, highlight=False)
    unset = unfilled(tree, around.used_only_with)
    for setting in unset:
        out.print(
            f"[yellow]![/] {_shown(f'{setting.place}: {setting.name} still holds {setting.value}. {setting.where}')}",
            soft_wrap=True,
            highlight=False,
        )
    if not found:
        left = (
            f"{len(unset)} values in {VARIABLES} have still to be filled in"
            if unset
            else "every value that they need is filled in"
        )
        out.print(f"[green]✓[/] The pipelines are in order; {left}.", soft_wrap=True, highlight=False)
    if found or (ready and unset):
        raise typer.Exit(1)


def run(
    pipeline: Annotated[str, typer.Argument(metavar="FILE", help="The pipeline's file, as in cd.yml.")],
    branch: Annotated[str, typer.Option(metavar="NAME", help="The branch; the one that you are on if left out.")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the pipeline; repeat for more."),
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Approve each deployment instead of being asked.")] = False,
) -> None:
    """Run a pipeline on this machine: the last commit of a branch, in a folder of its own, as Azure DevOps would.

    Ends with 0 when it succeeded, with or without issues, 1 when it failed or was stopped, 2 when the command line was
    wrong.

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
    # Who ends this process politely means what Ctrl-C means.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = terminal.execute(planned, repository, out, approve)
    if done.result in {"failed", "canceled"}:
        raise typer.Exit(1)


def _shown(text: str) -> str:
    return escape(visible(text))
