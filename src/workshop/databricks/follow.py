"""`workshop run --follow`: follow a run that was started earlier, here or elsewhere, and report it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter

from databricks.sdk.errors import NotFound
from typing_extensions import override

from workshop.core.errors import WorkshopError
from workshop.core.parameters import DevopsAction, Parameters, check_parameter
from workshop.core.provenance import checked_commit
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import open_slots
from workshop.databricks import job
from workshop.databricks.errors import explained
from workshop.databricks.remote_run import RemoteRun
from workshop.databricks.settings import DatabricksSettings, databricks_settings
from workshop.databricks.sign_in import sign_in, who
from workshop.databricks.target import bring_back, may_go_on, point_mlflow_at_the_workspace
from workshop.runner import interruption, notebooks
from workshop.runner.notebooks import Notebook
from workshop.runner.run import carry_out
from workshop.runner.summary import Summary
from workshop.runner.target import Executed, Plan, Progress, Request, Target


def follow_run(run_id: int, progress: Progress) -> Summary:
    """Follow a run to its end and write the same report as the process that started it."""
    settings = databricks_settings()
    client = sign_in(retry_seconds=settings.retry_seconds, say=progress.said)
    with explained(f"read the run {run_id}"):
        try:
            run = client.jobs.get_run(run_id)
        except NotFound as error:
            raise WorkshopError(
                f"There is no run {run_id} in this workspace: take the number after /run/ in its page's address."
            ) from error
    given = job.parameters_of(run)
    if job.RUN_ID not in given:
        raise WorkshopError(f"The run {run_id} was not submitted by `workshop run`: look at {job.page_of(run)}.")
    is_foreign = run.creator_user_name != who(client).principal
    model_name = str(check_parameter("model_name", given.get("model_name", Parameters().model_name), str))
    action = check_parameter("devops_action", given.get("devops_action", DevopsAction.INTEGRATION), str)
    point_mlflow_at_the_workspace(model_name)
    request = Request(
        action=DevopsAction(action),
        run_name=given.get("run_name", ""),
        compare_only=given.get("compare_only") == "true",
        target="databricks",
    )
    needed = {task.task_key: [each.task_key for each in task.depends_on or []] for task in run.tasks or []}
    with explained(f"order the tasks of the run {run_id}"):
        chosen = notebooks.select(TopologicalSorter(needed).static_order())
    commit, commit_problem = checked_commit(
        given.get(job.COMMIT, ""), f"the parameter {job.COMMIT} of the run {run_id}"
    )
    if commit_problem:
        progress.said(commit_problem)
    return carry_out(
        _Followed(RemoteRun.existing(client, progress.said, run, "foreign" if is_foreign else "earlier"), settings),
        request,
        chosen,
        {notebook.name: {} for notebook in chosen},
        open_slots(mlflow_store.connect(), model_name),
        commit,
        progress,
        commit_problem,
    )


class _Followed(Target):
    """The target of a run that exists already."""

    def __init__(self, run: RemoteRun, settings: DatabricksSettings) -> None:
        self._run = run
        self._settings = settings

    @override
    def reach(self, progress: Progress) -> None:
        pass  # it was reached when the run was looked up

    @override
    def get_ready(self, notebooks: Sequence[Notebook]) -> None:
        pass  # the run has started

    @override
    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        try:
            executed = bring_back(self._run, plan, self._settings, progress)
        except WorkshopError as error:
            raise WorkshopError(f"{error} {may_go_on(self._run)}") from error
        with interruption.undisturbed():
            try:
                yield executed
            finally:
                if self._run.state == "ended":
                    self._run.clean_up()
