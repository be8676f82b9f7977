"""Follows a run again that was submitted earlier, from here or from another machine, and reports it as its own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.core.parameters import DevopsAction, Parameters, check_parameter
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import open_slots
from workshop.databricks import submission
from workshop.databricks.ending import bring_back, may_go_on, tidy_up
from workshop.databricks.errors import explained
from workshop.databricks.settings import DatabricksSettings, databricks_settings
from workshop.databricks.sign_in import sign_in, who
from workshop.databricks.submission import Submitted
from workshop.databricks.target import point_mlflow_at_the_workspace
from workshop.runner import interruption, notebooks
from workshop.runner.plan import Executed, Plan, Progress, Request
from workshop.runner.run import carry_out
from workshop.runner.summary import Summary


def follow_run(run_id: int, progress: Progress) -> Summary:
    """Follow a run to its end and leave here what its own client would have left.

    Raises:
        WorkshopError: there is no such run, it is none of the workshop's, or the workspace does not answer.
    """
    settings = databricks_settings()
    client = sign_in(retry_seconds=settings.retry_seconds, say=progress.said)
    with explained(f"look at the run {run_id}"):
        try:
            run = client.jobs.get_run(run_id)
        except NotFound as error:
            raise WorkshopError(
                f"There is no run {run_id} in this workspace: take the number after /run/ in its page's address."
            ) from error
    given = submission.parameters_of(run)
    if submission.RUN_ID not in given:
        page = submission.page_of(run)
        raise WorkshopError(f"The run {run_id} is none that `workshop run` has submitted: look at {page}.")
    model_name = str(check_parameter("model_name", given.get("model_name", Parameters().model_name), str))
    action = check_parameter("devops_action", given.get("devops_action", DevopsAction.INTEGRATION), str)
    point_mlflow_at_the_workspace(model_name)
    request = Request(
        action=DevopsAction(action),
        run_name=given.get("run_name", ""),
        compare_only=given.get("compare_only") == "true",
        target="databricks",
    )
    chosen = notebooks.select(_in_order(run.tasks or []))
    return carry_out(
        _Followed(client, run, settings),
        request,
        chosen,
        {notebook.name: {} for notebook in chosen},
        open_slots(mlflow_store.connect(), model_name),
        _commit_of(given),
        progress,
    )


def _commit_of(given: dict[str, str]) -> str:
    """The commit that a run says that it is of, whoever has said so."""
    commit = given.get("WORKSHOP_GIT_COMMIT", "")
    return commit if re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?", commit) else "unknown"


def _in_order(tasks: list[jobs.RunTask]) -> list[str]:
    """Each task behind those that it waits for."""
    ordered: list[str] = []
    while left := [task for task in tasks if task.task_key not in ordered]:
        ready = [task for task in left if all(each.task_key in ordered for each in task.depends_on or [])]
        ordered += [task.task_key for task in ready or left]
    return ordered


class _Followed:
    """A run that is there already, as a target."""

    def __init__(self, client: WorkspaceClient, run: jobs.Run, settings: DatabricksSettings) -> None:
        self._client = client
        self._run = run
        self._settings = settings

    def reach(self, progress: Progress) -> None:
        """It was reached when it was looked for."""

    def get_ready(self) -> None:
        """It has started."""

    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        """See `Target`."""
        place = submission.parameters_of(self._run).get(submission.PLACE, "")
        submitted = Submitted(
            int(self._run.run_id or 0),
            submission.page_of(self._run),
            earlier=True,
            job_id=submission.job_of(self._run) if place else None,
            is_ours=self._run.creator_user_name == who(self._client).principal,
            place=place,
        )
        try:
            executed = bring_back(self._client, submitted, plan, self._settings, progress)
        except WorkshopError as error:
            raise WorkshopError(f"{error} {may_go_on(submitted)}") from error
        with interruption.undisturbed():
            try:
                yield executed
            finally:
                # What somebody else's run says of folders and jobs is not for us to act on.
                if executed.over and submitted.is_ours:
                    tidy_up(self._client, None, [submitted], progress)
