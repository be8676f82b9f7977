"""The result of one task, as the result of a notebook: its status, the reason for a failure, what it returned."""

import base64
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service import jobs

from kit_common.sanitize import shortened
from workshop.core.errors import WorkshopError
from workshop.core.notebook_result import HandedOver, read_result
from workshop.databricks.errors import explained, harmless
from workshop.databricks.retries import in_a_hurry, patiently
from workshop.runner.report import DECISION_PICTURE
from workshop.runner.summary import Failure, NotebookResult

_LONGEST_TEXT = 100_000
"""Characters of an error or a traceback that are read; a notebook can make both arbitrarily long."""
_LONGEST_SENTENCE = 1_000
"""Characters of one of the kit's own errors, which can quote others."""
_NAME_ALONE = re.compile(r"([\w.]+(?:Error|Exception|Interrupt|Exit)|[\w.]+(?=:)):?")
_OURS = re.compile(r"^(?:[\w.]+\.)?WorkshopError: ")
_NO_SUCH_WIDGET = re.compile(
    r"(?:InputWidgetNotDefined|No input widget named)\D*?['\"]?(?:named )?['\"]?(\w+)['\"]? is"
)
_RAISED_AT = re.compile(r"File [\"']?([^\"',:\s]+)[\"']?(?:,? line |:)(\d+)(?:, in ([\w.<>]+))?")
_RESULT = jobs.RunResultState
_NOT_RUN = (_RESULT.UPSTREAM_FAILED, _RESULT.UPSTREAM_CANCELED, _RESULT.EXCLUDED, _RESULT.DISABLED)
_WHY: Mapping[_RESULT | None, str] = {
    _RESULT.TIMEDOUT: "it exceeded its time limit: see its page for where it stopped, and allow more with "
    "WORKSHOP_DATABRICKS_TIMEOUT_MINUTES if needed",
    _RESULT.CANCELED: "it was cancelled in the workspace",
    _RESULT.MAXIMUM_CONCURRENT_RUNS_REACHED: "too many runs of it are active: wait for them to end, then run it again",
    _RESULT.SUCCESS_WITH_FAILURES: "a part of it failed: see its page",
}


@dataclass(frozen=True)
class TaskResult:
    """The result of one task."""

    notebook: NotebookResult
    state: str
    """The workspace's term, as in `SUCCESS`."""
    returned: HandedOver | None


def of_task(
    client: WorkspaceClient, task: jobs.RunTask, folder: Path, check: Callable[[str, HandedOver | None], None]
) -> TaskResult:
    """Fetch the result of a task that has ended, and write its page and its picture into the run's folder.

    A result that can't be fetched is a failure of this task and is not raised, so that the run is followed further. A
    page or a picture that can't be fetched is left out. `check` raises a WorkshopError if a result is missing or wrong.
    """
    status, problem, place = _status(task), "", ""
    returned: HandedOver | None = None
    if status != "not run":
        try:
            output = _output(client, task)
            if status == "succeeded":
                returned = _returned(output)
                check(task.task_key, returned)
            else:
                problem, place = _why(task, output), where(output.error_trace if output else None)
        except WorkshopError as error:
            returned = None
            status, problem = "failed" if status == "succeeded" else status, str(error)
    if returned is not None and returned.picture:
        _keep(folder / DECISION_PICTURE, base64.b64decode(returned.picture))
    state = (task.state.result_state or task.state.life_cycle_state) if task.state is not None else None
    failure = Failure(notebook=task.task_key, cell=0, source=place, message=problem) if status == "failed" else None
    return TaskResult(
        NotebookResult(
            name=task.task_key,
            status=status,
            seconds=_seconds(task),
            output=_page(client, task, folder) if status != "not run" else None,
            error=failure,
        ),
        state.value if state is not None else "unknown",
        returned,
    )


def in_one_sentence(error: str) -> str:
    """Return the message of a WorkshopError that a notebook raised, or any other error's name and first line."""
    lines = [line.strip() for line in harmless(error[:_LONGEST_TEXT]).splitlines() if line.strip()]
    if not lines:
        return "it gives no reason"
    first = lines[0]
    if alone := _NAME_ALONE.fullmatch(first):
        if len(lines) == 1:
            return f"it was ended by {alone[1]}, without a message: see its page"
        first = f"{alone[1]}: {lines[1]}"
    if found := _NO_SUCH_WIDGET.search(first[:_LONGEST_SENTENCE]):
        return (
            f"it reads the widget {found[1]}, which is not passed: declare {found[1]} in its parameters cell, and read "
            "it with read_parameters"
        )
    own = _OURS.match(first)
    return shortened(first[own.end() :], _LONGEST_SENTENCE) if own else shortened(first)


def where(trace: str | None) -> str:
    """Return where an error was raised, from its traceback, in one sentence; empty if that is not found."""
    found = _RAISED_AT.findall(harmless((trace or "")[-_LONGEST_TEXT:]))
    if not found:
        return ""
    path, line, function = found[-1]
    if "/workshop/" in path:
        path = f"workshop/{path.rpartition('/workshop/')[2]}"
    return f"Raised in {shortened(function + ' of ' if function else '')}{shortened(path)}, line {line}."


def _status(task: jobs.RunTask) -> str:
    """Return the notebook's status; only SUCCESS is `succeeded`, and an unknown state is `failed`."""
    state = task.state or jobs.RunState()
    result = state.result_state
    if result == _RESULT.SUCCESS:
        return "succeeded"
    if result in _NOT_RUN or state.life_cycle_state == jobs.RunLifeCycleState.SKIPPED:
        return "not run"
    if result == _RESULT.CANCELED and not task.execution_duration:
        return "not run"
    return "interrupted" if result == _RESULT.CANCELED else "failed"


def _output(client: WorkspaceClient, task: jobs.RunTask) -> jobs.RunOutput | None:
    """Return what the workspace keeps of a task; None if the task did not run far enough."""
    run_id = task.run_id
    if run_id is None:
        return None
    with explained(f"fetch what {task.task_key} ended with"):
        try:
            return patiently(client, lambda: client.jobs.get_run_output(run_id))
        except DatabricksError as error:
            if _status(task) == "succeeded" or error.error_code not in ("INVALID_PARAMETER_VALUE", "INVALID_STATE"):
                raise
            return None


def _returned(output: jobs.RunOutput | None) -> HandedOver | None:
    """Return the result of a succeeded notebook; None if there is none."""
    result = output.notebook_output if output is not None else None
    if result is not None and result.truncated:
        raise WorkshopError(
            "it ended with more than the 5 MB that Databricks keeps of a result: hand over less, and write large "
            "results into a table or a file."
        )
    return read_result(result.result, harmless) if result is not None and result.result else None


def _why(task: jobs.RunTask, output: jobs.RunOutput | None) -> str:
    if output is not None and output.error:
        return in_one_sentence(output.error)
    state = task.state or jobs.RunState()
    if known := _WHY.get(state.result_state):
        return known
    details = task.status.termination_details if task.status is not None else None
    message = state.state_message or (details.message if details is not None else None) or ""
    lines = harmless(message[:_LONGEST_TEXT]).strip().splitlines() or ["the workspace gives no reason"]
    return f"{shortened(lines[0]).rstrip(' .')}: see its page"


def _seconds(task: jobs.RunTask) -> float | None:
    if not task.start_time or not task.end_time or _status(task) == "not run":
        return None
    return round((task.end_time - task.start_time) / 1000, 2)


def _page(client: WorkspaceClient, task: jobs.RunTask, folder: Path) -> str | None:
    """Write the executed notebook beside the report, as the workspace's HTML page; return None if that fails."""
    run_id = task.run_id
    if run_id is None:
        return None
    export = partial(client.jobs.export_run, run_id, views_to_export=jobs.ViewsToExport.CODE)
    # A short wait is enough, since the workspace keeps the page.
    with suppress(WorkshopError), in_a_hurry(client), explained(f"fetch the executed {task.task_key}"):
        views = patiently(client, export).views or []
        content = views[0].content if views else None
        if content:
            return _keep(folder / f"{task.task_key}.html", content.encode("utf-8", "replace"))
    return None


def _keep(path: Path, content: bytes) -> str | None:
    """Write a file and return its path, or None if that fails; the report fails then, too."""
    try:
        path.write_bytes(content)
    except OSError:
        return None
    return str(path)
