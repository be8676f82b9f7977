"""A run: the notebooks in order, and what it leaves behind."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import nbformat

from workshop.core import store, tables
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.outcome import MIME_TYPE
from workshop.core.parameters import DevopsAction, Parameters, safe_run_name
from workshop.core.provenance import git_commit
from workshop.core.settings import Settings, current_settings
from workshop.core.slots import Slots, open_slots
from workshop.headless import interruption, kernels, local, notebooks, report
from workshop.headless.summary import EXIT_CODES, NotebookResult, RunStatus, Summary

_OPTIONS = {"run_name": "--run-name", "devops_action": "--action", "compare_only": "--compare-only"}


@dataclass(frozen=True)
class Request:
    """What a person or a pipeline asked for."""

    action: DevopsAction = DevopsAction.INTEGRATION
    run_name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    scoring: bool = False
    compare_only: bool = False
    target: str = "local"
    cell_timeout: int | None = None


class Progress(Protocol):
    """Tells whoever watches how far a run is."""

    def notebook_started(self, name: str, cells: int) -> None:
        """A notebook with that many code cells starts."""

    def cell_started(self, number: int) -> None:
        """Its code cell `number` starts."""

    def notebook_ended(self, result: NotebookResult) -> None:
        """It has ended, one way or another."""


def run(request: Request, progress: Progress) -> Summary:
    """Execute the notebooks and write the executed notebooks, the report and `summary.json` into the run's folder.

    Returns:
        The summary; a notebook that failed, or an interruption, is in it and not raised.

    Raises:
        WorkshopError: nothing could be run: a wrong parameter, no store, no space.
    """
    kernels.begin_warming()
    chosen = notebooks.select(request.notebooks, request.scoring)
    parameters = _parameters(request, chosen)
    started, clock = datetime.now(UTC), time.monotonic()
    settings = current_settings()
    run_name = safe_run_name(request.run_name)
    model_name = str(request.parameters.get("model_name", Parameters().model_name))
    commit = git_commit()
    slots = open_slots(store.connect(), model_name)
    _require_datasets(settings)
    before = slots.holders()
    folder = _make_folder(settings, started, run_name)
    environment = {**os.environ, "WORKSHOP_HOME": str(settings.home), "WORKSHOP_RUN_ID": folder.name}

    jobs = [
        local.Job(
            notebook, folder / f"{notebook.name}.ipynb", parameters[notebook.name], environment, request.cell_timeout
        )
        for notebook in chosen
    ]
    results, status, sentence = _execute(jobs, progress)
    outcome = _outcome(results)
    after = _holders_or(before, slots)
    if status == "done" and outcome is not None:
        status, sentence = outcome["status"], outcome["sentence"]
    for slot in ("production", "staging"):
        if status in ("failed", "interrupted") and after[slot] != before[slot]:
            sentence = f"{sentence} Before that, version {after[slot]} took {slot.capitalize()}."
    summary = Summary(
        run_id=folder.name,
        run_name=run_name,
        action=request.action.value,
        target=request.target,
        model=model_name,
        status=status,
        sentence=sentence,
        exit_code=EXIT_CODES[status],
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 2),
        git_commit=commit,
        data_version=_data_version(settings),
        notebooks=results,
        outcome=outcome,
        slots_before=before,
        slots_after=after,
        report=str(folder / "report.html"),
    )
    try:
        report.write(summary, Path(summary.report))
        summary.write(folder / "summary.json")
    except OSError as error:
        raise explain_os_error(error) from error
    return summary


def _parameters(request: Request, chosen: list[notebooks.Notebook]) -> dict[str, dict[str, Any]]:
    """Each notebook's parameters: those given, and the run's own for the notebooks that declare them."""
    for name, option in _OPTIONS.items():
        if name in request.parameters:
            raise notebooks.RequestError(f"The parameter {name} has an option of its own: use {option} instead of -p.")
    given = notebooks.check_parameters(chosen, request.parameters)
    own = {
        "run_name": request.run_name,
        "devops_action": request.action.value,
        **({"compare_only": True} if request.compare_only else {}),
        # CD must not quietly score with anything else, not even where nothing has been promoted.
        **({"slot": "production"} if request.action is DevopsAction.DEPLOYMENT else {}),
    }
    return {
        notebook.name: {
            **{name: value for name, value in own.items() if name in notebook.declared()},
            **given[notebook.name],
        }
        for notebook in chosen
    }


def _execute(jobs: list[local.Job], progress: Progress) -> tuple[list[NotebookResult], RunStatus, str]:
    """Execute one notebook after the other until one does not succeed."""
    results: list[NotebookResult] = []
    status: RunStatus = "done"
    sentence = f"{', '.join(job.notebook.name for job in jobs)} ran to the end."
    for job in jobs:
        name = job.notebook.name
        if status != "done":
            results.append(NotebookResult(name=name, status="not run"))
            continue
        try:
            # Papermill puts a cell with the parameters behind the tagged one.
            progress.notebook_started(name, job.notebook.code_cells() + bool(job.parameters))
            result = local.execute(job, lambda number: _start_cell(progress, number))
        except KeyboardInterrupt:
            interruption.heard()
            status, sentence = "interrupted", f"Stopped in {name}; run it again when you like."
            result = NotebookResult(name=name, status="interrupted", output=str(job.output))
        except WorkshopError as error:
            status, sentence = "failed", str(error)
            result = NotebookResult(name=name, status="failed", output=str(job.output))
        if result.error is not None:
            status, sentence = "failed", f"{name}, cell {result.error.cell}: {result.error.message}"
        results.append(result)
        progress.notebook_ended(result)
    return results, status, sentence


def _start_cell(progress: Progress, number: int) -> None:
    interruption.check()
    progress.cell_started(number)


def _outcome(results: list[NotebookResult]) -> dict[str, Any] | None:
    """What 1_3 handed over, from the output in which it also shows it."""
    for result in results:
        if result.status != "succeeded" or result.output is None:
            continue
        for cell in nbformat.read(result.output, as_version=4).cells:
            for output in cell.get("outputs", []):
                if MIME_TYPE in output.get("data", {}):
                    return dict(output["data"][MIME_TYPE])
    return None


def _require_datasets(settings: Settings) -> None:
    if not (tables.development_table(settings).exists() and tables.production_table(settings).exists()):
        from workshop.core import data  # noqa: PLC0415  # scikit-learn takes a second to import, needed once in a home

        data.create_datasets()


def _data_version(settings: Settings) -> dict[str, int]:
    known = (tables.development_table(settings), tables.production_table(settings))
    return {table.name: int(table.open().version()) for table in known}


def _holders_or(before: dict[str, str | None], slots: Slots) -> dict[str, str | None]:
    """Who holds the slots now; what was known before where the store has gone away meanwhile."""
    try:
        return slots.holders()
    except WorkshopError:
        return before


def _make_folder(settings: Settings, started: datetime, run_name: str) -> Path:
    """A folder of this run's own, named after its start; a second run within the second gets the next number."""
    stem = f"{started:%Y%m%dT%H%M%SZ}-{run_name}"
    for number in range(1, 1000):
        folder = settings.runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise explain_os_error(error) from error
        return folder
    raise WorkshopError(f"A thousand runs named {run_name} have started within this second: start fewer.")
