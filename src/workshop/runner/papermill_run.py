"""Execution of one notebook on this machine, with papermill, in a kernel of its own."""

import logging
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import papermill
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from workshop.core.errors import explain_os_error
from workshop.runner import kernels, parameters_cell
from workshop.runner.notebooks import Notebook
from workshop.runner.summary import Failure, NotebookResult

_SECONDS_FOR_OUTPUT = 1_000_000
"""Long enough for all output of a cell to arrive; a kernel that dies meanwhile is noticed."""
_SECONDS_TO_START = 300
"""Long enough for a busy machine; a kernel that ends instead of starting is noticed at once."""
_KILLED = 9  # SIGKILL, by its number: Windows has no such name
_CRASHES = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
"""Signals that a process causes itself, or its libraries; another process sends any other."""
# Papermill warns of correct parameters, which the kit checks itself, and logs errors, which the kit reports.
logging.getLogger("papermill").setLevel(logging.CRITICAL)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    notebook: Notebook
    output: Path
    """Path of the executed notebook; the log of its kernel is written beside it."""
    parameters: Mapping[str, Any]
    """Checked values."""
    environment: Mapping[str, str]
    """All environment variables of the kernel."""
    cell_timeout: int | None = None
    """Seconds that one cell may take, or None for no limit."""


def execute(job: Job, on_cell: Callable[[int], None]) -> NotebookResult:
    """Execute a notebook and write it, with its outputs so far if it fails.

    Args:
        job: the notebook, with its parameters.
        on_cell: called with the number of each code cell that starts, from 1; papermill's own cell is not counted.

    Raises:
        WorkshopError: the output can't be written.
        KeyboardInterrupt: the run was stopped; the cells so far are written.
    """
    started = time.monotonic()
    position = _Position(on_cell)
    notebook, output = job.notebook, job.output
    log = output.with_suffix(".kernel.log")
    failure: Failure | None = None
    try:
        # Papermill reads files more strictly than `Notebook.read`, so it executes the copy in place.
        nbformat.write(notebook.read(), output)
        in_place = str(output).replace("{", "{{").replace("}", "}}")
        with kernels.kernel(job.environment, notebook.path.parent, log) as manager:
            try:
                papermill.execute_notebook(
                    in_place,
                    in_place,
                    dict(job.parameters),
                    km=manager,
                    kernel_name="python3",
                    progress_bar=False,
                    execution_timeout=job.cell_timeout,
                    start_timeout=_SECONDS_TO_START,
                    iopub_timeout=_SECONDS_FOR_OUTPUT,
                    on_cell_start=position.started,
                    on_cell_error=position.raised,
                )
            except PapermillExecutionError as error:
                failure = position.failure(notebook, _message(position.error or error), source=error.source)
            except CellTimeoutError:
                run_sync(manager.interrupt_kernel)()  # else the cell would go on while the kernel shuts down
                failure = position.failure(
                    notebook,
                    f"the cell ran longer than the {job.cell_timeout} seconds that --cell-timeout allows: "
                    "make it faster, or allow more",
                )
            except DeadKernelError:
                failure = position.failure(notebook, _cause_of_death(kernels.exit_code(manager)))
            except RuntimeError as error:
                if position.number:
                    raise
                failure = position.failure(notebook, _cause_of_no_start(error, log))
    except OSError as error:
        raise explain_os_error(error) from error
    finally:
        if log.exists() and log.stat().st_size == 0:
            log.unlink()
    return NotebookResult(
        name=notebook.name,
        status="failed" if failure else "succeeded",
        seconds=round(time.monotonic() - started, 2),
        output=str(output),
        error=failure,
    )


class _Position:
    """The code cell that runs, for the progress and for the place of a failure."""

    def __init__(self, on_cell: Callable[[int], None]) -> None:
        self._on_cell = on_cell
        self.number = 0
        self.source = ""
        self.error: SimpleNamespace | None = None

    def started(self, cell: nbformat.NotebookNode, cell_index: int) -> None:  # noqa: ARG002  # nbclient passes both
        if cell.cell_type == "code":
            self.source = cell.source
            if not parameters_cell.is_injected(cell):
                self.number += 1
                self._on_cell(self.number)

    def raised(self, cell: nbformat.NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:  # noqa: ARG002
        # The reply names each error; the cell's outputs, which papermill reads, do not contain that of a magic.
        content = execute_reply["content"]
        self.error = SimpleNamespace(ename=content.get("ename", "Error"), evalue=content.get("evalue", ""))

    def failure(self, notebook: Notebook, message: str, source: str | None = None) -> Failure:
        return Failure(
            notebook=notebook.name,
            cell=self.number,
            source=self.source if source is None else source,
            message=message,
            on_databricks=False,
        )


def _message(error: PapermillExecutionError | SimpleNamespace) -> str:
    """Return the sentence of a WorkshopError, else the exception's name and the first line of its message."""
    lines = _ANSI.sub("", str(error.evalue)).strip().splitlines()
    if not lines:
        return f"{error.ename}, without a message"
    return lines[0] if error.ename == "WorkshopError" else f"{error.ename}: {lines[0]}"


def _cause_of_no_start(error: RuntimeError, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((_ANSI.sub("", line).strip() for line in reversed(lines) if line.strip()), "")
    details = f"; {log} contains the details" if last else ""
    return f"its kernel did not start ({last or error}): install the packages again with `make setup`{details}"


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        ended = "ended" if code is None else f"ended with exit code {code}"
        return f"its kernel {ended} in the middle of the cell: look for code that exits the process"
    name = _signal_name(-code)
    if -code == _KILLED:
        return (
            f"its kernel was killed ({name}), most likely because the machine ran out of memory, or by another "
            "process: use fewer rows or a smaller model, or a larger machine"
        )
    if name == "SIGXCPU":
        return f"its kernel reached the limit of CPU time ({name}): raise it (`ulimit -t`), or make the cell faster"
    if name in _CRASHES:
        return (
            f"its kernel crashed with {name}, most likely in a library's compiled code: "
            "run the cell in JupyterLab to find the call"
        )
    return f"its kernel was ended by the signal {name} from another process or from the cell itself: run it again"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal between the first and the last
        return str(number)
