"""`workshop devops …`: the team's Azure DevOps on this machine: its repository, its runs and its pull requests."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from azure_devops_local import host
from azure_devops_local.server.policies import Policy
from kit_common.sanitize import visible
from workshop.core import provenance
from workshop.core.settings import current_settings

if TYPE_CHECKING:
    from rich.table import Table

CHOICES: list[dict[str, str]] = [
    {},
    {"registry": "https://mlflow.example.com", "registryUser": "pipelines", "variableGroup": "a-group"},
    {"target": "databricks", "signIn": "federation"},
    {"target": "databricks", "signIn": "oidc", "databricksGitUrl": "https://dev.azure.com/our-company/wine/_git/wine"},
    {"target": "databricks", "signIn": "secret", "variableGroup": "a-group"},
]
"""Values of the settings that the files branch on: also a mistake in a branch that this team does not take counts."""
USED_ONLY_WITH = {
    "workspaceUrl": {"target": "databricks"},
    "serviceConnection": {"target": "databricks", "signIn": "federation"},
    "databricksHome": {"target": "databricks"},
}
"""The settings that hold a placeholder as delivered, and the choices that need them."""
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
"""The kit, as `azure_devops_local` has to know it."""
app = typer.Typer(no_args_is_help=True, help="Azure DevOps on a laptop: push, open pull requests, watch the runs.")
pr = typer.Typer(no_args_is_help=True, help="Pull requests: open, look at, complete.")
app.add_typer(pr, name="pr")
out = Console()

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are; Git's `user.name` if left out.")]
Number = Annotated[int, typer.Argument(metavar="RUN", help="The run's number.")]
Request = Annotated[int, typer.Argument(metavar="ID", help="The pull request's number.")]


@app.callback()
def in_kit() -> None:
    """Keep the state in the kit's home, and call the commands by the kit's names."""
    host.use(HOST)


@app.command()
def start(
    approvals: Annotated[
        bool, typer.Option("--approvals/--no-approvals", help="Whether a deployment waits until a person approves it.")
    ] = True,
    allow_direct_push: Annotated[
        bool, typer.Option("--allow-direct-push", help="Let people push to main and integration.")
    ] = False,
) -> None:
    """Make the team's repository from the clone that you are in, and add it as the remote `workshop`.

    It has the branches `main` and `integration`. From then on `git push workshop BRANCH` starts the pipelines that the
    push would start in Azure DevOps. Where it is there already, it stays as it is, and the options count anew.
    """
    from azure_devops_local.server import repository, run_queue

    new = repository.start(Path.cwd(), approvals, allow_direct_push)
    run_queue.ensure_working()
    _say(f"The team's repository {'is' if new else 'was there already:'} {repository.repository()}")
    _say("Push to it with `git push workshop YOUR_BRANCH`; `workshop devops runs` lists what that starts.")


@app.command()
def runs(as_json: AsJson = False) -> None:
    """List the runs, oldest first."""
    from azure_devops_local.run_store import Runs
    from azure_devops_local.server import run_queue

    run_queue.ensure_working()
    found = Runs().all()
    for number in set(Runs().numbers()) - {run.number for run in found}:
        _complain(f"The record of run {number} is damaged: take {Runs().folder_of(number)} away.")
    if as_json:
        print(json.dumps([run.model_dump(mode="json") for run in found], indent=2))
        return
    rows = [
        (str(run.number), run.pipeline, run.started_by, run.result or run.state, f"{run.branch}: {run.message}")
        for run in found
    ]
    table = _table(("run", "pipeline", "started by", "state", "branch and message"), rows)
    out.print(table if found else "There are no runs yet: `git push workshop YOUR_BRANCH` starts some.")


@app.command()
def rerun(number: Number, name: As = "") -> None:
    """Queue a run again: the same pipeline, commit and parameters."""
    from azure_devops_local.server import run_queue

    again = run_queue.rerun(number, _person(name))
    run_queue.ensure_working()
    _say(f"{again.pipeline} starts again, as run {again.number}.")


@app.command()
def approve(
    number: Number,
    reject: Annotated[bool, typer.Option("--reject", help="Say no: the run ends there.")] = False,
    name: As = "",
) -> None:
    """Approve the deployment that a run waits with."""
    from azure_devops_local.server import run_queue

    person = _person(name)
    run = run_queue.answer_approval(number, person, approved=not reject)
    _say(f"{person} {'rejects' if reject else 'approves'} {run.title}.")


@app.command()
def stop() -> None:
    """End the agent: what runs or waits for an approval is canceled, what is queued goes on with the next command."""
    from azure_devops_local.run_store import Runs
    from azure_devops_local.server import run_queue

    begun = [run.number for run in run_queue.unfinished() if run.state != "queued"]
    _say("The agent is stopped." if run_queue.stop() else "There is no agent at work.")
    for run in map(Runs().load, begun):
        if run.result == "canceled":
            _say(f"The {run.title} is canceled: `workshop devops rerun {run.number}` starts it again.")


@app.command()
def watch(
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle",
            help="End when nothing goes on without a person: with 0 if all that was seen to run ended well, else 1.",
        ),
    ] = False,
) -> None:
    """Show the runs and the open pull requests live, until Ctrl-C."""
    from azure_devops_local.views import watch

    raise typer.Exit(watch.follow(out, until_idle))


@app.command()
def web(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any port that is free.")] = 8900,
) -> None:
    """Show runs, logs and pull requests in a browser: on this machine only, and only to be looked at."""
    from azure_devops_local.server import run_queue
    from azure_devops_local.views import web

    run_queue.ensure_working()
    web.serve(port, _say)


@app.command(hidden=True)
def received() -> None:
    """Start what a push starts: Git's hook calls this."""
    from azure_devops_local.server import pull_requests, repository

    updates = sys.stdin.read().splitlines()
    said = repository.received(updates)
    said += pull_requests.source_moved([update.split()[2].removeprefix("refs/heads/") for update in updates])
    for sentence in said:
        _say(sentence)


@app.command(hidden=True)
def work(run: Annotated[int, typer.Option("--run", help="Execute only this one.")] = 0) -> None:
    """Work through the queue in the background."""
    if run:
        from azure_devops_local.server import worker

        worker.work(run)
    else:
        from azure_devops_local.server import run_queue

        run_queue.listen()


@pr.command("create")
def pr_create(
    source: Annotated[str, typer.Option(metavar="BRANCH", help="What is to be merged.")],
    target: Annotated[str, typer.Option(metavar="BRANCH", help="Into what.")],
    title: Annotated[str, typer.Option(help="What it is about; the branches' names if left out.")] = "",
    description: Annotated[str, typer.Option(help="More about it, in Markdown.")] = "",
    name: As = "",
) -> None:
    """Open a pull request, or find the one that is open already between these branches."""
    from azure_devops_local.server import pull_requests

    request, new = pull_requests.create(source, target, title, description, _person(name))
    _say(f"The {request.name} is {'open' if new else 'open already'}: {request.title}")
    if request.validation_run:
        _say(f"Run {request.validation_run} is the test of the merge: it has, or had, the very files of it.")


@pr.command("complete")
def pr_complete(
    number: Request,
    name: As = "",
    one_person: Annotated[
        bool, typer.Option("--one-person", help="You play both the author and the reviewer.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the merge has been tested.")] = False,
) -> None:
    """Merge it, once its test has succeeded. Into main, somebody else than its author has to do this."""
    from azure_devops_local.server import pull_requests

    if wait:
        pull_requests.wait_for_validation(number)
    request, said = pull_requests.complete(number, _person(name), one_person)
    _say(f"The {request.name} is completed: {request.target} has {request.merge_commit[:8]} now.")
    for sentence in said:
        _say(sentence)


@pr.command("list")
def pr_list(as_json: AsJson = False) -> None:
    """List the pull requests, oldest first."""
    from azure_devops_local.server import pull_requests, run_queue

    run_queue.ensure_working()
    found = pull_requests.every()
    for number in set(pull_requests.numbers()) - {request.id for request in found}:
        _complain(f"The record of pull request {number} is damaged: `workshop devops pr show {number}` says where.")
    if as_json:
        print(json.dumps([request.model_dump(mode="json") for request in found], indent=2))
        return
    rows = [
        (str(request.id), request.source, request.target, request.author, request.status, request.title)
        for request in found
    ]
    table = _table(("id", "from", "into", "author", "status", "title"), rows)
    out.print(table if found else "There are no pull requests yet: `workshop devops pr create` opens one.")


@pr.command("show")
def pr_show(number: Request) -> None:
    """Show one, with its description and how far its test is."""
    from rich.markdown import Markdown

    from azure_devops_local import sanitize
    from azure_devops_local.server import pull_requests

    request = pull_requests.load(number)
    _say(f"{request.name[0].upper()}{request.name[1:]}, by {request.author}, {request.status}: {request.title}")
    if request.status == "active":
        test = pull_requests.validation(number)
        _say(f"Test of the merge: {test.state}" + (f" (run {test.run})" if test.run else ""))
    elif request.completed_by:
        _say(f"Completed by {request.completed_by} as {request.merge_commit[:8]}.")
    out.print(Markdown(sanitize.for_terminal(request.description), hyperlinks=False))


@pr.command("abandon")
def pr_abandon(number: Request) -> None:
    """Close one without merging it."""
    from azure_devops_local.server import pull_requests

    _say(f"The {pull_requests.abandon(number).name} is abandoned.")


def _person(name: str) -> str:
    from azure_devops_local.server import repository

    return repository.person(Path.cwd(), name)


def _say(sentence: str) -> None:
    out.print(visible(sentence), markup=False, highlight=False, soft_wrap=True)


def _complain(sentence: str) -> None:
    """On standard error, where it is in no program's way."""
    Console(stderr=True).print(visible(sentence), markup=False, highlight=False, soft_wrap=True)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    """Return a table that breaks long cells into lines instead of cutting them."""
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*map(_shown, row))
    return table


def _shown(cell: str) -> str:
    return escape(visible(cell))
