"""Says how the tasks of a run get on, and makes of them what a run on a laptop makes of its notebooks."""

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from kit_common.sanitize import shortened
from workshop.core.promotion.outcome import RunStatus
from workshop.databricks import results
from workshop.databricks.errors import harmless
from workshop.databricks.submission import RUN_ID, page_of, parameters_of
from workshop.runner.obligations import Obligations
from workshop.runner.plan import Executed, Plan, Progress
from workshop.runner.summary import NotebookResult

_LONGEST_TEXT = 10_000
"""Characters of what the workspace says that are looked at."""


class Watch:
    """Tells the progress what has changed since the last look, and collects the results."""

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
        """Say what is new."""
        self._say_what_it_waits_for(run)
        for task in self._in_order(run):
            if task.state is not None and task.state.life_cycle_state == jobs.RunLifeCycleState.RUNNING:
                self._start(task.task_key)
            if results.has_ended(task) and task.task_key not in self._ended:
                ended = self._ended[task.task_key] = self._result_of(run, task)
                if ended.notebook.status == "not run":
                    continue
                self._start(task.task_key)
                self._progress.notebook_ended(ended.notebook)
                said = ended.handed_over.said if ended.handed_over is not None else {}
                self._progress.said(
                    "  " + ", ".join([ended.state, *(f"{name} {value}" for name, value in said.items())])
                )

    def _result_of(self, run: jobs.Run, task: jobs.RunTask) -> results.TaskResult:
        # A retry with the same token follows a run that knows itself by the id that the first attempt gave it.
        run_id = parameters_of(run).get(RUN_ID, "")
        return results.of_task(
            self._client, task, self._folder, lambda name, returned: self._obligations.check(name, returned, run_id)
        )

    def results_so_far(self) -> list[NotebookResult]:
        """What came of the notebooks, where somebody stops the run now."""
        return [
            self._ended[name].notebook
            if name in self._ended
            else NotebookResult(name=name, status="interrupted" if name in self._started else "not run")
            for name in self._names
        ]

    def executed(self, run: jobs.Run) -> Executed:
        """What came of the run, which has ended."""
        every = [self._ended[task.task_key] for task in self._in_order(run) if task.task_key in self._ended]
        handed_over = [each.handed_over for each in every if each.handed_over is not None]
        status, sentence = _what_came_of_it(run, every, self._names)
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

    def _say_what_it_waits_for(self, run: jobs.Run) -> None:
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


def _what_came_of_it(run: jobs.Run, every: list[results.TaskResult], names: list[str]) -> tuple[RunStatus, str]:
    """Whether each task has succeeded, which is not what the state of the run says, and one sentence."""
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
    said = [shortened(harmless(state.state_message[:_LONGEST_TEXT])) for state in states if state.state_message]
    message = said[0] if said else "the workspace does not say why"
    return "failed", f"Not all notebooks ran on Databricks: {message.strip().rstrip('.')}; see {page_of(run)}."
