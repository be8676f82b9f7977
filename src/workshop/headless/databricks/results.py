"""What came of the tasks of a run, as the results of notebooks: how each ended, why, and what it handed over."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.handover import HandedOver, received
from workshop.headless.databricks.sign_in import explained
from workshop.headless.report import DECISION_PICTURE
from workshop.headless.summary import Failure, NotebookResult

DECIDES = "part_1_3_evaluating"
_OURS = re.compile(r"^(?:[\w.]+\.)?WorkshopError: ")
_NO_SUCH_WIDGET = re.compile(
    r"(?:InputWidgetNotDefined|No input widget named)\D*?['\"]?(?:named )?['\"]?(\w+)['\"]? is"
)
_RAISED_AT = re.compile(r"File [\"']?([^\"',:\s]+)[\"']?(?:,? line |:)(\d+)(?:, in ([\w.<>]+))?")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_RESULT = jobs.RunResultState
_NOT_RUN = (_RESULT.UPSTREAM_FAILED, _RESULT.UPSTREAM_CANCELED, _RESULT.EXCLUDED, _RESULT.DISABLED)
_WHY: Mapping[_RESULT | None, str] = {
    _RESULT.TIMEDOUT: "it ran longer than it may: see its page for where it stood, and allow more with "
    "WORKSHOP_DATABRICKS_TIMEOUT_MINUTES if it needs more",
    _RESULT.CANCELED: "it was cancelled in the workspace",
    _RESULT.MAXIMUM_CONCURRENT_RUNS_REACHED: "too many runs of it are active: wait for them to end, then run it again",
    _RESULT.SUCCESS_WITH_FAILURES: "a part of it failed: see its page",
}


@dataclass(frozen=True)
class TaskResult:
    """What came of one task."""

    notebook: NotebookResult
    state: str
    """What the workspace calls it, as in `SUCCESS`."""
    handed_over: HandedOver | None


def of_task(client: WorkspaceClient, task: jobs.RunTask, folder: Path) -> TaskResult:
    """Fetch what there is of a task that has ended, and write its page into the folder.

    Raises:
        WorkshopError: the workspace does not answer, or the folder can't be written to.
    """
    state = _state_of(task)
    status = _status(task)
    handed_over, problem, place = None, "", ""
    if status != "not run":
        output = _output(client, task)
        if status == "succeeded":
            try:
                handed_over = _handed_over(task.task_key, output)
            except WorkshopError as error:
                status, problem = "failed", str(error)
        else:
            problem, place = _why(task, output), where(output.error_trace if output else None)
    if handed_over is not None and handed_over.picture:
        _keep(folder / DECISION_PICTURE, base64.b64decode(handed_over.picture))
    failure = Failure(notebook=task.task_key, cell=0, source=place, message=problem) if status == "failed" else None
    return TaskResult(
        NotebookResult(
            name=task.task_key,
            status=status,
            seconds=_seconds(task),
            output=_page(client, task, folder) if status != "not run" else None,
            error=failure,
        ),
        state,
        handed_over,
    )


def in_one_sentence(error: str) -> str:
    """What a notebook's error says: our own sentence where it ended in one, else the error's name and first line."""
    said = [line for line in _ANSI.sub("", error).strip().splitlines() if line.strip()]
    first = said[0].strip() if said else "it does not say why"
    if found := _NO_SUCH_WIDGET.search(first):
        return (
            f"it asks for the widget {found[1]}, which nobody passes: declare {found[1]} in its parameters cell, and "
            "read it with read_parameters"
        )
    return _OURS.sub("", first)


def where(trace: str | None) -> str:
    """Where an error was raised, from its traceback, in one sentence; empty where it does not say."""
    found = _RAISED_AT.findall(_ANSI.sub("", trace or ""))
    if not found:
        return ""
    path, line, function = found[-1]
    if "/workshop/" in path:
        path = f"workshop/{path.rpartition('/workshop/')[2]}"
    return f"Raised in {function + ' of ' if function else ''}{path}, line {line}."


def has_ended(task: jobs.RunTask) -> bool:
    """Whether nothing of it runs any more."""
    return task.state is not None and task.state.life_cycle_state in (
        jobs.RunLifeCycleState.TERMINATED,
        jobs.RunLifeCycleState.SKIPPED,
        jobs.RunLifeCycleState.INTERNAL_ERROR,
    )


def _state_of(task: jobs.RunTask) -> str:
    state = task.state
    if state is None:
        return "unknown"
    said = state.result_state or state.life_cycle_state
    return said.value if said is not None else "unknown"


def _status(task: jobs.RunTask) -> str:
    """Only SUCCESS is success; whatever we don't know is not."""
    state = task.state
    result = state.result_state if state is not None else None
    if result == _RESULT.SUCCESS:
        return "succeeded"
    if result in _NOT_RUN or (state is not None and state.life_cycle_state == jobs.RunLifeCycleState.SKIPPED):
        return "not run"
    return "interrupted" if result == _RESULT.CANCELED else "failed"


def _output(client: WorkspaceClient, task: jobs.RunTask) -> jobs.RunOutput | None:
    """What the workspace keeps of a task; nothing where it did not get as far as having any."""
    if task.run_id is None:
        return None
    with explained(f"fetch what {task.task_key} ended with"):
        try:
            return client.jobs.get_run_output(task.run_id)
        except DatabricksError as error:
            if _status(task) == "succeeded" or error.error_code not in ("INVALID_PARAMETER_VALUE", "INVALID_STATE"):
                raise
            return None


def _handed_over(name: str, output: jobs.RunOutput | None) -> HandedOver | None:
    result = output.notebook_output if output is not None else None
    if result is not None and result.truncated:
        raise WorkshopError(
            f"{name} ended with more than the 5 MB that Databricks keeps of a result: hand over less, and write what "
            "is large into a table or a file."
        )
    if result is None or not result.result:
        if name == DECIDES:
            raise WorkshopError(
                f"{name} ended without handing over its decision: leave the call of hand_over in its last cell."
            )
        return None
    return received(name, result.result)


def _why(task: jobs.RunTask, output: jobs.RunOutput | None) -> str:
    if output is not None and output.error:
        return in_one_sentence(output.error)
    state = task.state
    known = _WHY.get(state.result_state if state is not None else None, "")
    message = (state.state_message if state is not None else None) or ""
    details = task.status.termination_details if task.status is not None else None
    said = (message or (details.message if details is not None else None) or "").strip().rstrip(".")
    first_line = said.splitlines()[0] if said else ""
    return known or f"{first_line or 'the workspace does not say why'}: see its page"


def _seconds(task: jobs.RunTask) -> float | None:
    if not task.start_time or not task.end_time:
        return None
    return round((task.end_time - task.start_time) / 1000, 2)


def _page(client: WorkspaceClient, task: jobs.RunTask, folder: Path) -> str | None:
    """The executed notebook as the workspace gives it, an HTML page, beside the report; None where there is none."""
    if task.run_id is None:
        return None
    with explained(f"fetch the executed {task.task_key}"):
        try:
            views = client.jobs.export_run(task.run_id, views_to_export=jobs.ViewsToExport.CODE).views or []
        except DatabricksError as error:
            if error.error_code not in ("INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST"):
                raise
            return None
    content = views[0].content if views else None
    if not content:
        return None
    return _keep(folder / f"{task.task_key}.html", content.encode("utf-8"))


def _keep(path: Path, content: bytes) -> str:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise explain_os_error(error) from error
    return str(path)
