"""The target `local`: executes a run's notebooks on this machine, one after the other."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from typing_extensions import override

from workshop.core.data import tables
from workshop.core.databricks_task import GIVEN_PARAMETERS
from workshop.core.errors import WorkshopError
from workshop.core.notebook_result import MIME_TYPE, HandedOver, data_version, read_result
from workshop.core.promotion.outcome import RunStatus
from workshop.core.settings import current_settings
from workshop.runner import interruption, kernels, papermill_run
from workshop.runner.notebooks import DATASETS, SCORING, Notebook
from workshop.runner.obligations import Obligations
from workshop.runner.parameters_cell import code_cells
from workshop.runner.summary import Failure, NotebookResult
from workshop.runner.target import Executed, Plan, Progress, Target

_PATHS = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables with paths; kernels run in another folder, so relative ones are made absolute."""


class LocalTarget(Target):
    """This machine."""

    def __init__(self) -> None:
        """Start to warm kernels while the rest is prepared."""
        kernels.begin_warming()

    @override
    def reach(self, progress: Progress) -> None:
        pass  # this machine needs no connection

    @override
    def get_ready(self, notebooks: Sequence[Notebook]) -> None:
        if any(notebook.name == DATASETS for notebook in notebooks):
            return  # it creates the tables, from the seed and the files that it is given
        # Otherwise the wine tables are created on first use.
        if not (tables.development_table().exists() and tables.production_table().exists()):
            from workshop.core.data import datasets  # noqa: PLC0415  # scikit-learn takes a second to import, needed once a home

            datasets.create_datasets()

    @override
    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        environment = {
            **os.environ,
            **{name: str(Path(os.environ[name]).absolute()) for name in _PATHS if os.environ.get(name)},
            "WORKSHOP_HOME": str(current_settings().home),
            "WORKSHOP_RUN_ID": plan.run_id,
            "WORKSHOP_RUN_NOTEBOOKS": ",".join(notebook.name for notebook in plan.notebooks),
        }
        jobs = [
            papermill_run.Job(
                notebook,
                plan.folder / f"{notebook.name}.ipynb",
                plan.parameters[notebook.name],
                {**environment, GIVEN_PARAMETERS: json.dumps(plan.parameters[notebook.name])},
                plan.request.cell_timeout,
            )
            for notebook in plan.notebooks
        ]
        yield _execute(jobs, plan, progress)


def returned_by(notebook: nbformat.NotebookNode) -> HandedOver | None:
    """Return the result of an executed notebook; None if it has none.

    Raises:
        WorkshopError: the output has another form.
    """
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output["data"][MIME_TYPE] for output in outputs if MIME_TYPE in output.get("data", {})]
    return read_result(texts[-1]) if texts else None


def unfinished(notebook: nbformat.NotebookNode) -> tuple[int, str] | None:
    """Return number and code of the cell that ended an executed notebook early; None if no cell did.

    Papermill treats `sys.exit()` as the end of a notebook that has succeeded.
    """
    for number, cell in enumerate(code_cells(notebook), start=1):
        if any(output.get("ename") == "SystemExit" for output in cell.outputs):
            return number, cell.source
    return None


def _check(result: NotebookResult, obligations: Obligations, run_id: str) -> NotebookResult:
    """Return the result, as failed where the notebook has not met its obligations."""
    if result.status != "succeeded" or result.output is None:
        return result
    notebook = nbformat.read(result.output, as_version=4)
    number, source = unfinished(notebook) or (0, "")
    message = "the cell ended the notebook with SystemExit, so the cells after it did not run: remove that exit."
    if not number:
        try:
            obligations.check(result.name, returned_by(notebook), run_id)
        except WorkshopError as error:
            cells = [cell.source for cell in code_cells(notebook)]
            number, source, message = len(cells), cells[-1] if cells else "", str(error)
    if not number:
        return result
    failure = Failure(notebook=result.name, cell=number, source=source, message=message)
    return result.model_copy(update={"status": "failed", "error": failure})


def _execute(jobs: list[papermill_run.Job], plan: Plan, progress: Progress) -> Executed:
    """Execute one notebook after the other until one fails or does not meet its obligations."""
    obligations = Obligations(plan)
    results: list[NotebookResult] = []
    status: RunStatus = "done"
    sentence = f"{', '.join(job.notebook.name for job in jobs)} ran to the end."
    for job in jobs:
        name = job.notebook.name
        if status != "done":
            results.append(NotebookResult(name=name, status="not run"))
            continue
        try:
            # Papermill adds a cell with the parameters after the tagged one.
            progress.notebook_started(name, job.notebook.code_cells())
            result = papermill_run.execute(job, lambda number: _start_cell(progress, number))
            result = _check(result, obligations, plan.run_id)
        except KeyboardInterrupt:
            interruption.acknowledge()
            status, sentence = "interrupted", f"Stopped in {name}; run it again when you like."
            result = NotebookResult(name=name, status="interrupted", output=str(job.output))
        except WorkshopError as error:
            status, sentence = "failed", str(error)
            result = NotebookResult(name=name, status="failed", output=str(job.output))
        if result.error is not None:
            status, sentence = "failed", f"{name}, {result.error.place}: {result.error.message}"
        results.append(result)
        progress.notebook_ended(result)
        if name == SCORING and obligations.scored:
            progress.said(obligations.scored)
    return Executed(results, status, sentence, obligations.outcome, data_version())


def _start_cell(progress: Progress, number: int) -> None:
    interruption.check()
    progress.cell_started(number)
