"""Says how the tasks of a run get on, and makes of them what a run on a laptop makes of its notebooks."""

from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from workshop.headless.databricks import results
from workshop.headless.plan import Executed, Progress
from workshop.headless.summary import NotebookResult, RunStatus


class Watch:
    """Tells the progress what has changed since the last look, and collects the results."""

    def __init__(self, client: WorkspaceClient, names: list[str], folder: Path, progress: Progress) -> None:
        self._client = client
        self._names = names
        self._folder = folder
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
                ended = self._ended[task.task_key] = results.of_task(self._client, task, self._folder)
                if ended.notebook.status == "not run":
                    continue
                self._start(task.task_key)
                self._progress.notebook_ended(ended.notebook)
                said = ended.handed_over.said if ended.handed_over is not None else {}
                self._progress.said(
                    "  " + ", ".join([ended.state, *(f"{name} {value}" for name, value in said.items())])
                )

    def results(self) -> dict[str, NotebookResult]:
        """What came of the notebooks that have ended so far."""
        return {name: ended.notebook for name, ended in self._ended.items()}

    def executed(self, run: jobs.Run) -> Executed:
        """What came of the run, which has ended."""
        every = [self._ended[task.task_key] for task in self._in_order(run) if task.task_key in self._ended]
        handed_over = [each.handed_over for each in every if each.handed_over is not None]
        status, sentence = _what_came_of_it(run, every)
        return Executed(
            results=[each.notebook for each in every],
            status=status,
            sentence=sentence,
            outcome=next((each.outcome for each in handed_over if each.outcome is not None), None),
            data_version=handed_over[-1].data_version if handed_over else {},
        )

    def _in_order(self, run: jobs.Run) -> list[jobs.RunTask]:
        return sorted((task for task in run.tasks or []), key=lambda task: self._names.index(task.task_key))

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


def _what_came_of_it(run: jobs.Run, every: list[results.TaskResult]) -> tuple[RunStatus, str]:
    """Whether each task has succeeded, which is not what the state of the run says, and one sentence."""
    for each in every:
        if each.notebook.error is not None:
            where = f" {each.notebook.error.source}" if each.notebook.error.source else ""
            return "failed", f"{each.notebook.name}, on Databricks: {each.notebook.error.message.rstrip('.')}.{where}"
    if stopped := next((each for each in every if each.notebook.status == "interrupted"), None):
        return "interrupted", f"{stopped.notebook.name} was cancelled in the workspace; run it again when you like."
    if every and all(each.notebook.status == "succeeded" for each in every) and len(every) == len(run.tasks or []):
        return "done", f"{', '.join(each.notebook.name for each in every)} ran to the end."
    message = (run.state.state_message if run.state is not None else None) or "the workspace does not say why"
    return "failed", f"Not all notebooks ran on Databricks: {message.strip().rstrip('.')}; see {run.run_page_url}."
