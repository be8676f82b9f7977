"""`workshop doctor`: checks of a set-up, before anything runs on it."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from kit_common.terminal import print_text
from workshop.cli.options import AsJson, Model
from workshop.cli.output import waiting_for

if TYPE_CHECKING:
    from workshop.doctor.report import Finding

app = typer.Typer()
out = Console()

_COLOURS = {"holds": "green", "fails": "bold red", "note": "yellow", "not checked": "dim"}


@app.command()
def doctor(
    target: Annotated[
        Literal["local", "databricks"] | None,
        typer.Option(
            help="Where notebooks will run; databricks if DATABRICKS_HOST or DATABRICKS_CONFIG_PROFILE is set.",
            case_sensitive=False,
        ),
    ] = None,
    model: Model = "wine_quality",
    federation: Annotated[
        str | None,
        typer.Option(
            metavar="ORGANIZATION/PROJECT/NAME",
            help="Print what to create so that this pipeline, or this service connection, signs in without a secret.",
        ),
    ] = None,
    organization_id: Annotated[
        str, typer.Option(metavar="ID", help="The organization's id, for --federation: $(System.CollectionId).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check this set-up, and print the checks that pass (✓) and those that fail, with what to do (✗).

    Nothing is run or submitted. In a workspace, missing folders for code and experiments are created.
    Ends with 1 if a check fails, else with 0.

    For example: `workshop doctor --target databricks --model main.workshop.wine_quality`.
    """
    from workshop.doctor import federation as trust
    from workshop.doctor import report as reports

    if federation is not None:
        where = trust.place(federation, organization_id)
        print(json.dumps(trust.as_json(where), indent=2) if as_json else trust.explain(where))
        return
    in_workspace = os.environ.get("DATABRICKS_HOST") or os.environ.get("DATABRICKS_CONFIG_PROFILE")
    chosen = target or ("databricks" if in_workspace else "local")
    with waiting_for("the checks") as status:
        report = reports.Report() if as_json else reports.Report(show=lambda finding: _print(finding, status))
        if chosen == "local":
            from workshop.doctor import laptop

            laptop.examine(report)
        elif report.check("databricks-sdk", reports.require_sdk):
            from workshop.doctor import workspace

            workspace.examine(report, model)
    if as_json:
        print(json.dumps(report.as_json(chosen), indent=2))
    sys.exit(report.exit_code)


def _print(finding: "Finding", status: Status) -> None:
    status.stop()
    print_text(out, f"[{_COLOURS[finding.mark]}]{finding.line[0]}[/]{escape(finding.line[1:])}", markup=True)
    status.start()
