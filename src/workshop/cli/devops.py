"""`workshop devops …`: Azure DevOps on this machine, with the team's repository, runs and pull requests."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from azure_devops_local import host
from azure_devops_local.host import Policy
from kit_common.sanitize import visible
from kit_common.terminal import print_text
from workshop.cli.options import AsJson
from workshop.core import provenance
from workshop.core.settings import current_settings

CHOICES: list[dict[str, str]] = [
    {},
    {"registry": "https://mlflow.example.com", "registryUser": "pipelines", "variableGroup": "a-group"},
    {"target": "databricks", "signIn": "federation"},
    {"target": "databricks", "signIn": "oidc", "databricksGitUrl": "https://dev.azure.com/our-company/wine/_git/wine"},
    {"target": "databricks", "signIn": "secret", "variableGroup": "a-group"},
]
"""Further settings to check the files with: conditional parts may contain mistakes, too."""
USED_ONLY_WITH = {
    "workspaceUrl": {"target": "databricks"},
    "serviceConnection": {"target": "databricks", "signIn": "federation"},
    "databricksHome": {"target": "databricks"},
}
"""Settings that are delivered as placeholders, and the choices that need them."""
_TESTED = "workshop_unit_test.yml"
HOST = host.Host(
    name="workshop",
    command=("workshop", "devops"),
    advice="workshop devops",
    home_variable="WORKSHOP_HOME",
    root=lambda: current_settings().home,
    below="devops",
    choices=CHOICES,
    used_only_with=USED_ONLY_WITH,
    user=provenance.who,
    policies={"main": Policy(build=_TESTED, reviewers=1), "integration": Policy(build=_TESTED)},
)
"""The kit's names and policies for `azure_devops_local`."""
app = typer.Typer(no_args_is_help=True, help="Azure DevOps on this machine: push, open pull requests, watch the runs.")
pr = typer.Typer(no_args_is_help=True, help="Pull requests: open, show, complete.")
app.add_typer(pr, name="pr")
out = Console()

As = Annotated[str, typer.Option("--as", metavar="NAME", help="Your name; Git's `user.name` if left out.")]
Number = Annotated[int, typer.Argument(metavar="RUN", help="The run's number.")]
Request = Annotated[int, typer.Argument(metavar="ID", help="The pull request's number.")]


@app.callback()
def in_kit() -> None:
    """Use the kit's home, names and policies."""
    host.use(HOST)


@app.command()
def start(
    approvals: Annotated[
        bool, typer.Option("--approvals/--no-approvals", help="Whether deployments wait for an approval.")
    ] = True,
    allow_direct_push: Annotated[
        bool, typer.Option("--allow-direct-push", help="Accept pushes to main and integration.")
    ] = False,
) -> None:
    """Create the team's repository from the current clone, and add it as the remote `workshop`.

    It has the branches `main` and `integration`. `git push workshop BRANCH` then starts the pipelines that the push
    would start in Azure DevOps. An existing repository is kept, and gets the options of this call.
    """
    from azure_devops_local.server import repository, run_queue

    new = repository.start(Path.cwd(), approvals, allow_direct_push)
    run_queue.ensure_working()
    _print(f"The team's repository {'is' if new else 'exists already:'} {repository.repository()}")
    _print("Push to it with `git push workshop YOUR_BRANCH`; `workshop devops runs` lists the runs that this starts.")


@app.command()
def runs(as_json: AsJson = False) -> None:
    """List the runs, oldest first."""
    from azure_devops_local.run_store import Runs
    from azure_devops_local.server import run_queue

    run_queue.ensure_working()
    found = Runs().all()
    for number in set(Runs().numbers()) - {run.number for run in found}:
        _warn(f"The record of run {number} is damaged: remove {Runs().folder_of(number)}.")
    columns = ("run", "what", "state")
    rows = [
        (run.number, f"{run.pipeline} on {run.branch}, {run.started_by}\n{run.message}", run.result or run.state)
        for run in found
    ]
    _print_list(found, columns, rows, as_json, "There are no runs yet: `git push workshop YOUR_BRANCH` starts some.")


@app.command()
def rerun(number: Number, name: As = "") -> None:
    """Queue a run again: the same pipeline, commit and parameters."""
    from azure_devops_local.server import run_queue

    again = run_queue.rerun(number, _person(name))
    run_queue.ensure_working()
    _print(f"{again.pipeline} starts again, as run {again.number}.")


@app.command()
def approve(
    number: Number,
    reject: Annotated[bool, typer.Option("--reject", help="Reject the deployment: the run fails.")] = False,
    name: As = "",
) -> None:
    """Approve the deployment of a run that waits for it."""
    from azure_devops_local.server import run_queue

    person = _person(name)
    run = run_queue.answer_approval(number, person, approved=not reject)
    _print(f"{person} {'rejects' if reject else 'approves'} {run.title}.")


@app.command()
def stop() -> None:
    """Stop the agent: runs that have started are canceled, queued ones start with the next command."""
    from azure_devops_local.run_store import Runs
    from azure_devops_local.server import run_queue

    begun = [run.number for run in run_queue.unfinished() if run.state != "queued"]
    _print("The agent is stopped." if run_queue.stop() else "No agent is running.")
    for run in map(Runs().load, begun):
        if run.result == "canceled":
            _print(f"The {run.title} is canceled: `workshop devops rerun {run.number}` starts it again.")


@app.command()
def watch(
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle",
            help="End once every run has ended or waits for an approval: with 0 if all watched runs succeeded, else 1.",
        ),
    ] = False,
) -> None:
    """Show the runs and the open pull requests live, until Ctrl-C."""
    from azure_devops_local.views import watch

    raise typer.Exit(watch.follow(out, until_idle))


@app.command()
def web(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free port.")] = 8900,
) -> None:
    """Serve read-only pages of runs, logs and pull requests, on this machine only."""
    from azure_devops_local.server import run_queue
    from azure_devops_local.views import web

    run_queue.ensure_working()
    web.serve(port, _print)


@app.command(hidden=True)
def received() -> None:
    """Start the pipelines for a push; Git's hook calls this command."""
    from azure_devops_local.server import pull_requests, repository

    updates = sys.stdin.read().splitlines()
    moved = [update.split()[2].removeprefix("refs/heads/") for update in updates]
    for sentence in (*repository.received(updates), *pull_requests.source_moved(moved)):
        _print(sentence)


@app.command(hidden=True)
def work(run: Annotated[int, typer.Option("--run", help="Execute only this run.")] = 0) -> None:
    """Work through the queue in the background."""
    if run:
        from azure_devops_local.server import worker

        worker.work(run)
    else:
        from azure_devops_local.server import run_queue

        run_queue.listen()


@pr.command("create")
def pr_create(
    source: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to merge.")],
    target: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to merge into.")],
    title: Annotated[str, typer.Option(help="The title; the branches' names if left out.")] = "",
    description: Annotated[str, typer.Option(help="The description, in Markdown.")] = "",
    name: As = "",
) -> None:
    """Open a pull request, or find the open one between these branches."""
    from azure_devops_local.server import pull_requests

    request, new = pull_requests.create(source, target, title, description, _person(name))
    named = "" if request.title == f"{source} into {target}" else f": {request.title}"
    _print(f"The {request.name} is {'open' if new else 'open already'}{named or '.'}")
    if request.validation_run:
        _print(f"Run {request.validation_run} is the test of the merge: it runs on the same files.")


@pr.command("complete")
def pr_complete(
    number: Request,
    name: As = "",
    one_person: Annotated[
        bool, typer.Option("--one-person", help="Let the author of a pull request into main complete it.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the test of the merge has ended.")] = False,
) -> None:
    """Merge a pull request whose test has succeeded; into main, a person other than its author must do it."""
    from azure_devops_local.server import pull_requests

    if wait:
        from azure_devops_local.views import watch

        pull_requests.wait_for_validation(number, watch.reporter(_print))
    request, sentences = pull_requests.complete(number, _person(name), one_person)
    _print(f"The {request.name} is completed: {request.target} is now at {request.merge_commit[:8]}.")
    for sentence in sentences:
        _print(sentence)


@pr.command("list")
def pr_list(as_json: AsJson = False) -> None:
    """List the pull requests, oldest first."""
    from azure_devops_local.server import pull_requests, run_queue

    run_queue.ensure_working()
    found = pull_requests.every()
    for number in set(pull_requests.numbers()) - {request.id for request in found}:
        _warn(f"The record of pull request {number} is damaged: `workshop devops pr show {number}` shows where it is.")
    columns = ("id", "from", "into", "author", "status", "title")
    rows = [(each.id, each.source, each.target, each.author, each.status, each.title) for each in found]
    _print_list(found, columns, rows, as_json, "There are no pull requests yet: `workshop devops pr create` opens one.")


@pr.command("show")
def pr_show(number: Request) -> None:
    """Show a pull request with its description and the state of its test."""
    from rich.markdown import Markdown

    from azure_devops_local.server import pull_requests
    from azure_devops_local.views import page_content

    request = pull_requests.load(number)
    _print(f"{request.name[0].upper()}{request.name[1:]}, by {request.author}, {request.status}: {request.title}")
    if request.status == "active":
        test = pull_requests.validation(number)
        _print(f"Test of the merge: {test.state}" + (f" (run {test.run})" if test.run else ""))
    elif request.completed_by:
        _print(f"Completed by {request.completed_by} as {request.merge_commit[:8]}.")
    out.print(Markdown(page_content.for_terminal(request.description), hyperlinks=False))


@pr.command("abandon")
def pr_abandon(number: Request) -> None:
    """Close a pull request without merging it."""
    from azure_devops_local.server import pull_requests

    _print(f"The {pull_requests.abandon(number).name} is abandoned.")


def _person(name: str) -> str:
    from azure_devops_local.server import repository

    return repository.person(Path.cwd(), name)


def _print(sentence: str) -> None:
    print_text(out, visible(sentence))


def _warn(sentence: str) -> None:
    """Print to standard error, since a program may read the output."""
    print_text(Console(stderr=True), visible(sentence))


def _print_list(
    found: Sequence[BaseModel], columns: tuple[str, ...], rows: Iterable[Iterable[object]], as_json: bool, none_yet: str
) -> None:
    table = Table(*(Column(name, overflow="fold") for name in columns))  # long cells break, and are not cut
    for row in rows:
        table.add_row(*(escape(visible(str(cell))) for cell in row))
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in found], indent=2))
    else:
        out.print(table if found else none_yet)
