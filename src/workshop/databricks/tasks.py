"""The tasks of one run: prints their progress, and collects their results as a local run does its notebooks'."""

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from kit_common.sanitize import shortened
from workshop.core.promotion.outcome import RunStatus
from workshop.databricks import results
from workshop.databricks.errors import harmless
from workshop.databricks.job import RUN_ID, page_of, parameters_of
from workshop.runner.obligations import Obligations
from workshop.runner.plan import Executed, Plan, Progress
from workshop.runner.summary import NotebookResult

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
        for task in self._in_order(run):
            if task.state is not None and task.state.life_cycle_state == jobs.RunLifeCycleState.RUNNING:
                self._start(task.task_key)
            if results.has_ended(task) and task.task_key not in self._ended:
                ended = self._ended[task.task_key] = self._result_of(run, task)
                if ended.notebook.status == "not run":
                    continue
                self._start(task.task_key)
                self._progress.notebook_ended(ended.notebook)
                lines = ended.handed_over.said if ended.handed_over is not None else {}
                self._progress.said(
                    "  " + ", ".join([ended.state, *(f"{name} {each}" for name, each in lines.items())])
                )

    def _result_of(self, run: jobs.Run, task: jobs.RunTask) -> results.TaskResult:
        # A run that an earlier call started has the id that this call gave it.
        run_id = parameters_of(run).get(RUN_ID, "")
        return results.of_task(
            self._client, task, self._folder, lambda name, returned: self._obligations.check(name, returned, run_id)
        )

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
        handed_over = [each.handed_over for each in every if each.handed_over is not None]
        status, sentence = status_and_sentence(run, every, self._names)
        return Executed(
            results=[each.notebook for each in every],
            status=status,
            sentence=sentence,
            outcome=next((each.handed_over.outcome for each in every if _decides(each) and each.handed_over), None),
            data_version=handed_over[-1].data_version if handed_over else {},
        )

    def _in_order(self, run: jobs.Run) -> list[jobs.RunTask]:
        return sorted((task for task in run.tasks or [] if task.task_key in self._names), key=self._place_of)

    def _place_of(self, task: jobs.RunTask) -> int:
        return self._names.index(task.task_key)

    def _start(self, name: str) -> None:
        if name not in self._started:
            self._started.add(name)
            self._progress.notebook_started(name, None)

    def _print_waiting(self, run: jobs.Run) -> None:
        state = run.state.life_cycle_state if run.state is not None else None
        waits = {
            jobs.RunLifeCycleState.QUEUED: "It waits in the workspace's queue.",
            jobs.RunLifeCycleState.PENDING: "It waits for its compute.",
        }.get(state or jobs.RunLifeCycleState.RUNNING, "")
        if waits and waits != self._waiting:
            self._waiting = waits
            self._progress.said(waits)


def _decides(each: results.TaskResult) -> bool:
    return each.notebook.name == results.DECIDES


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
