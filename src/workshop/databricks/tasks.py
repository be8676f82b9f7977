"""The tasks of one run: prints their progress, and collects their results as a local run does its notebooks'."""

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from kit_common.sanitize import shortened
from workshop.core.promotion.outcome import RunStatus
from workshop.databricks import results
from workshop.databricks.errors import harmless
from workshop.databricks.job import RUN_ID, has_ended, page_of, parameters_of
from workshop.runner.notebooks import SCORING
from workshop.runner.obligations import Obligations
from workshop.runner.summary import NotebookResult
from workshop.runner.target import Executed, Plan, Progress

_LONGEST_TEXT = 10_000
"""Characters of a message of the workspace that are read."""


class Tasks:
    """The progress and the results of one run's tasks."""

    def __init__(self, client: WorkspaceClient, plan: Plan, progress: Progress) -> None:
        self._client = client
        self._names = list(plan.parameters)
        self._folder = plan.folder
        self._obligations = Obligations(plan)
        self._progress = progress
        self._waiting = ""
        self._started: set[str] = set()
        self._ended: dict[str, results.TaskResult] = {}

    def look_at(self, run: jobs.Run) -> None:
        """Print what has changed since the last look, and fetch the results of the tasks that have ended."""
        self._print_waiting(run)
        # A run that an earlier call started has the id that this call gave it.
        run_id = parameters_of(run).get(RUN_ID, "")
        for task in self._in_order(run):
            if task.state is not None and task.state.life_cycle_state == jobs.RunLifeCycleState.RUNNING:
                self._start(task.task_key)
            if has_ended(task) and task.task_key not in self._ended:
                ended = self._ended[task.task_key] = results.of_task(
                    self._client,
                    task,
                    self._folder,
                    lambda name, returned: self._obligations.check(name, returned, run_id),
                )
                if ended.notebook.status == "not run":
                    continue
                self._start(task.task_key)
                self._progress.notebook_ended(ended.notebook)
                self._progress.said(_in_one_line(ended))
                if task.task_key == SCORING and self._obligations.scored:
                    self._progress.said(self._obligations.scored)

    def results_so_far(self) -> list[NotebookResult]:
        """Return the results of the notebooks, as they are when the run is stopped now."""
        return [
            self._ended[name].notebook
            if name in self._ended
            else NotebookResult(name=name, status="interrupted" if name in self._started else "not run")
            for name in self._names
        ]

    def executed(self, run: jobs.Run) -> Executed:
        """Return the result of the run, which has ended."""
        every = [self._ended[task.task_key] for task in self._in_order(run) if task.task_key in self._ended]
        returned = [each.returned for each in every if each.returned is not None]
        status, sentence = status_and_sentence(run, every, self._names)
        return Executed(
            results=[each.notebook for each in every],
            status=status,
            sentence=sentence,
            outcome=self._obligations.outcome,
            data_version=returned[-1].data_version if returned else {},
            submitted_by=harmless(run.creator_user_name or ""),
        )

    def _in_order(self, run: jobs.Run) -> list[jobs.RunTask]:
        by_name = {task.task_key: task for task in run.tasks or []}
        return [by_name[name] for name in self._names if name in by_name]

    def _start(self, name: str) -> None:
        if name not in self._started:
            self._started.add(name)
            self._progress.notebook_started(name, None)

    def _print_waiting(self, run: jobs.Run) -> None:
        state = run.state.life_cycle_state if run.state is not None else None
        waits = {
            jobs.RunLifeCycleState.QUEUED: "Waiting in the workspace's queue.",
            jobs.RunLifeCycleState.PENDING: "Waiting for compute.",
        }.get(state or jobs.RunLifeCycleState.RUNNING, "")
        if waits and waits != self._waiting:
            self._waiting = waits
            self._progress.said(waits)


def _in_one_line(ended: results.TaskResult) -> str:
    returned = ended.returned
    values = dict(returned.said) if returned is not None else {}
    if returned is not None and returned.outcome is not None:
        values["decision"] = returned.outcome.status
    return "  " + ", ".join([ended.state, *(f"{name} {value}" for name, value in values.items())])


def status_and_sentence(run: jobs.Run, every: list[results.TaskResult], names: list[str]) -> tuple[RunStatus, str]:
    """Return `done` only if every task and the run succeeded, otherwise `failed` or `interrupted`; and one sentence."""
    for each in every:
        if each.notebook.error is not None:
            where = f" {each.notebook.error.source}" if each.notebook.error.source else ""
            return "failed", f"{each.notebook.name}, on Databricks: {each.notebook.error.message.rstrip('.')}.{where}"
    if stopped := next((each for each in every if each.state == jobs.RunResultState.CANCELED.value), None):
        return "interrupted", f"{stopped.notebook.name} was cancelled in the workspace; run it again when you like."
    whole = run.state.result_state if run.state is not None else None
    succeeded = [each.notebook.name for each in every if each.notebook.status == "succeeded"]
    if succeeded == names and whole in (None, jobs.RunResultState.SUCCESS):
        return "done", f"{', '.join(each.notebook.name for each in every)} ran to the end."
    states = [state for state in (run.state, *(task.state for task in run.tasks or [])) if state is not None]
    messages = [shortened(harmless(state.state_message[:_LONGEST_TEXT])) for state in states if state.state_message]
    message = messages[0] if messages else "the workspace gives no reason"
    return "failed", f"Not all notebooks ran on Databricks: {message.strip().rstrip('.')}; see {page_of(run)}."
