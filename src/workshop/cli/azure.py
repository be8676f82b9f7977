"""`workshop azure …`: what a job in Azure Pipelines does with the result of a run."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(no_args_is_help=True, help="Inside a pipeline of Azure DevOps: report a run, open a pull request.")


@app.command()
def announce(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of `workshop run --publish FOLDER`.")],
    not_better: Annotated[
        Literal["warning", "error"],
        typer.Option(help="How to report a model that is not better: as a warning (exit code 0) or an error (3)."),
    ] = "error",
) -> None:
    """Report a run to Azure DevOps (summary page, tag, warning or error), and end with its exit code: 0, 1 or 3."""
    from workshop.azure import logging_commands

    lines, code = logging_commands.announce(folder, not_better)
    for line in lines:
        print(line)
    raise typer.Exit(code)


@app.command()
def open_pull_request(
    source: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to merge.")],
    target: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to merge into.")],
    published: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="The folder of `workshop run --publish FOLDER`, for the description."),
    ],
) -> None:
    """Open a pull request in Azure Repos, or update the description of the open one."""
    from workshop.azure import logging_commands, pull_requests

    title, description = logging_commands.for_pull_request(published, source, target)
    request = pull_requests.open_or_find(source, target, title, description)
    # On a laptop the server at that address ends with the run.
    where = f"`workshop devops pr show {request.id}`" if "AZURE_DEVOPS_LOCAL_RUN" in os.environ else request.url
    print(f"Pull request {request.id} is open{'' if request.created else ' already'}: {where}")
