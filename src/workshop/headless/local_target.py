"""Executes a run's notebooks on this machine, one after the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nbformat

from workshop.core import tables
from workshop.core.errors import WorkshopError
from workshop.core.handover import data_version
from workshop.core.outcome import MIME_TYPE
from workshop.core.settings import current_settings
from workshop.headless import interruption, kernels, local
from workshop.headless.plan import Executed, Plan, Progress
from workshop.headless.summary import NotebookResult, RunStatus


class LocalTarget:
    """This machine."""

    def __init__(self) -> None:
        """Kernels get warm while all else is prepared."""
        kernels.begin_warming()

    def reach(self, progress: Progress) -> None:
        """See `Target`: here we are."""

    def get_ready(self) -> None:
        """See `Target`: the tables of wine are made on first use."""
        if not (tables.development_table().exists() and tables.production_table().exists()):
            from workshop.core import data  # noqa: PLC0415  # scikit-learn takes a second to import, needed once a home

            data.create_datasets()

    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        """See `Target`; kernels have tidied up after themselves."""
        environment = {
            **os.environ,
            "WORKSHOP_HOME": str(current_settings().home),
            "WORKSHOP_RUN_ID": plan.run_id,
        }
        jobs = [
            local.Job(
                notebook,
                plan.folder / f"{notebook.name}.ipynb",
                plan.parameters[notebook.name],
                environment,
                plan.request.cell_timeout,
            )
            for notebook in plan.notebooks
        ]
        results, status, sentence = _execute(jobs, progress)
        yield Executed(results, status, sentence, outcome_of(results), data_version())


def outcome_of(results: list[NotebookResult]) -> dict[str, Any] | None:
    """What 1_3 handed over, from the output in which it also shows it."""
    for result in results:
        if result.status != "succeeded" or result.output is None:
            continue
        for cell in nbformat.read(result.output, as_version=4).cells:
            for output in cell.get("outputs", []):
                if MIME_TYPE in output.get("data", {}):
                    return dict(output["data"][MIME_TYPE])
    return None


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
            status, sentence = "failed", f"{name}, {result.error.place}: {result.error.message}"
        results.append(result)
        progress.notebook_ended(result)
    return results, status, sentence


def _start_cell(progress: Progress, number: int) -> None:
    interruption.check()
    progress.cell_started(number)
