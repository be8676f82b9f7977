"""`workshop azure …`: what a job in Azure Pipelines does with the result of a run."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Inside a pipeline of Azure DevOps: report a run, open a pull request.")


class NotBetter(StrEnum):
    """The kind of issue that a new model that is not better becomes."""

    WARNING = "warning"
    ERROR = "error"


@app.command()
def announce(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of `workshop run --publish FOLDER`.")],
    not_better: Annotated[
        NotBetter,
        typer.Option(help="The issue for a new model that is not better: a warning ends with 0, an error with 3."),
    ] = NotBetter.ERROR,
) -> None:
    """Report a run to Azure DevOps: its summary page, a tag, and a warning or an error.

    Ends with the run's exit code: 0, 1 or 3.
    """
    from workshop.azure import logging_commands

    lines, code = logging_commands.announce(folder, not_better.value)
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
    # On a laptop the server that the address leads to ends with the run.
    where = f"`workshop devops pr show {request.id}`" if "AZURE_DEVOPS_LOCAL_RUN" in os.environ else request.url
    print(f"Pull request {request.id} is open{'' if request.created else ' already'}: {where}")
