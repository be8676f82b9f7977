"""`python -m azure_devops_local`: run, check and explain the pipelines of any Git checkout."""

import sys
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from azure_devops_local import command_line, host
from kit_common.errors import UserError, describe_os_error
from kit_common.sanitize import visible
from kit_common.terminal import print_text

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Run Azure Pipelines on this machine: `azure-pipelines.yml` and the files in `.azure_pipelines`. Runs are "
    "kept in AZURE_DEVOPS_LOCAL_HOME, or else in `.azure_devops_local` below the current folder.",
)
for command in (command_line.run, command_line.check, command_line.triggered):
    app.command()(command)


def main() -> NoReturn:
    """Run the command line; an error that the user can put right is one sentence."""
    try:
        app()
    except UserError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(describe_os_error(error, host.current().home_variable), 1)
    sys.exit(0)


def _fail(sentence: str, code: int) -> NoReturn:
    print_text(Console(stderr=True), f"[bold red]✗[/] {escape(visible(sentence))}", markup=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
