"""`workshop pipelines …`: the team's pipeline files, checked, explained and run on this machine."""

import typer

from azure_devops_local import command_line
from workshop.cli import azure
from workshop.cli.devops import in_kit

app = typer.Typer(no_args_is_help=True, help="Check, explain and run the files in `.azure_pipelines` on this machine.")
app.callback()(in_kit)
for command in (command_line.triggered, command_line.check, command_line.run):
    app.command()(command)
# A team's own pipelines may still call these by the names that they had before `workshop azure`.
for moved in (azure.announce, azure.open_pull_request):
    app.command(hidden=True, deprecated=True)(moved)
