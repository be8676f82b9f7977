"""Executes a run's notebooks on Databricks: signs in, submits one run, follows it, and brings back what came of it."""

import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient

from workshop.core.errors import WorkshopError
from workshop.core.files import write_whole
from workshop.core.parameters import Parameters
from workshop.core.provenance import git_commit, who
from workshop.core.settings import current_settings
from workshop.headless import interruption
from workshop.headless.databricks import code, definition, following, submission
from workshop.headless.databricks.definition import Work
from workshop.headless.databricks.settings import PREFIX, DatabricksSettings, databricks_settings
from workshop.headless.databricks.sign_in import explained, require_service_principal, sign_in
from workshop.headless.databricks.sign_in import who as signed_in_as
from workshop.headless.databricks.submission import Submitted
from workshop.headless.databricks.watch import Watch
from workshop.headless.notebooks import RequestError
from workshop.headless.plan import Executed, Plan, Progress, Request
from workshop.headless.summary import NotebookResult

RUN_ID_FILE = "databricks-run-id"
"""In the run's folder: which run of the workspace it follows."""
PLACE = "WORKSHOP_CODE"
"""The parameter of a run that says which folder of the workspace goes with it."""


class DatabricksTarget:
    """A workspace."""

    def __init__(self, request: Request) -> None:
        """Point MLflow at the workspace, for all that this process asks the registry from now on."""
        if request.cell_timeout is not None:
            raise RequestError(
                f"Databricks has no time-out for a cell: leave --cell-timeout out, and set {PREFIX}TIMEOUT_MINUTES."
            )
        self.settings = databricks_settings()
        self._client: WorkspaceClient | None = None
        self._model_name = str(request.parameters.get("model_name", Parameters().model_name))
        point_mlflow_at_the_workspace(self._model_name)

    @property
    def client(self) -> WorkspaceClient:
        """Signed in, at the first call."""
        if self._client is None:
            self._client = sign_in(retry_seconds=self.settings.retry_seconds)
        return self._client

    def reach(self) -> None:
        """See `Target`: what can be wrong here is found before anybody signs in."""
        commit = git_commit()
        code.require_clean(commit)
        if self.settings.code == "git":
            code.require_pushed(commit, self.settings.git_url)
        if not self.settings.home and not current_settings().tables:
            raise WorkshopError(
                f"Nobody has said where the tables of wine are: set {PREFIX}HOME to a folder in a volume, as in "
                "/Volumes/catalog/schema/volume, or WORKSHOP_TABLES to catalog.schema."
            )
        require_service_principal(signed_in_as(self.client))

    def get_ready(self) -> None:
        """See `Target`: MLflow keeps no experiment in a folder that is not there, and makes none."""
        experiments = f"{current_settings().experiments}/{self._model_name}"
        with explained(f"make the folder {experiments} for MLflow's experiments"):
            self.client.workspace.mkdirs(experiments)

    def execute(self, plan: Plan, progress: Progress) -> Executed:
        """See `Target`."""
        token = submission.token(self.settings, f"{plan.request.action} {plan.model_name} {list(plan.parameters)}")
        place = code.place_of(self.settings, plan.commit, token)
        title = f"workshop {plan.request.action.value} {plan.model_name} {plan.run_id}"
        submitted: Submitted | None = None
        try:
            work = self._work(plan, place, title)
            submitted = submission.submit(self.client, work, self.settings, token)
        except KeyboardInterrupt:
            with interruption.undisturbed():
                interruption.heard()
                executed = stopped(self.client, submission.find(self.client, title), plan)
        except code.OccupiedError:
            raise
        except WorkshopError:
            self._leave_nothing(title, place, progress)
            raise
        else:
            executed = bring_back(self.client, submitted, plan, self.settings, progress)
        tidy_up(self.client, place, submitted, progress)
        return executed

    def _leave_nothing(self, title: str, place: str, progress: Progress) -> None:
        """End what may have been started all the same: an answer that says no can come after it has."""
        with suppress(WorkshopError):  # the one that is about to be raised says what is wrong
            started = submission.find(self.client, title)
            if started is not None:
                following.cancel(self.client, started.run_id)
        tidy_up(self.client, place, None, progress)

    def _work(self, plan: Plan, place: str, title: str) -> Work:
        from_git = self.settings.code == "git"
        with tempfile.TemporaryDirectory(prefix="workshop-code-") as folder:
            built = code.of_commit(plan.commit, Path(folder))
            wheel = code.upload(self.client, built, place, notebooks=not from_git)
        environment = {
            **definition.environment(self.settings, plan.model_name),
            "WORKSHOP_RUN_ID": plan.run_id,
            "WORKSHOP_GIT_COMMIT": plan.commit,
            "WORKSHOP_REQUESTED_FOR": who(),
            PLACE: place,
        }
        return Work(
            title=title,
            base_parameters={
                name: {**environment, **{key: _as_text(value) for key, value in given.items()}}
                for name, given in plan.parameters.items()
            },
            notebook_folder=code.NOTEBOOKS if from_git else f"{place}/notebooks",
            requirements=(wheel, *built.pins),
            commit=plan.commit,
        )


def point_mlflow_at_the_workspace(model_name: str) -> None:
    """Let MLflow and our own settings here mean the registry that the notebooks use there.

    What else the environment may name, a server for one, is none that a run on Databricks records in; `databricks://…`
    is the same workspace by another profile.
    """
    for name, value in definition.registry_of(model_name).items():
        if not os.environ.get(name, "").startswith("databricks"):
            os.environ[name] = value


def bring_back(
    client: WorkspaceClient, submitted: Submitted, plan: Plan, settings: DatabricksSettings, progress: Progress
) -> Executed:
    """Follow a run to its end, and make of its tasks what a run on a laptop makes of its notebooks.

    Somebody who stops it, stops it in the workspace.

    Raises:
        WorkshopError: the workspace can't be asked any more; the run may go on.
    """
    if submitted.earlier:
        progress.said("This run has been started before: it is followed, and no second one is started.")
    progress.said(f"On Databricks: {submitted.page}")
    write_whole(plan.folder / RUN_ID_FILE, f"{submitted.run_id}\n")
    watch = Watch(client, list(plan.parameters), plan.folder, progress)
    try:
        run = following.follow(client, submitted.run_id, settings, watch.look_at, progress.said)
        executed = watch.executed(run)
    except KeyboardInterrupt:
        with interruption.undisturbed():
            interruption.heard()
            return stopped(client, submitted, plan, watch)
    except WorkshopError as error:
        raise WorkshopError(
            f"{error} Whether the run goes on is on its page, {submitted.page}; `workshop run "
            f"--follow {submitted.run_id}` follows it again."
        ) from error
    if submitted.earlier and executed.outcome is not None:
        return replace(executed, slots_before=executed.outcome["slots_before"])
    return executed


def stopped(client: WorkspaceClient, submitted: Submitted | None, plan: Plan, watch: Watch | None = None) -> Executed:
    """End the run in the workspace too, since nobody here waits for it any more."""
    sentence = "Stopped before the run was started on Databricks; run it again when you like."
    if submitted is not None:
        page = submitted.page
        sentence = f"Stopped, and the run on Databricks was cancelled ({page}); run it again when you like."
        try:
            if following.cancel(client, submitted.run_id) is None:
                sentence = f"Stopped; the run on Databricks was told to end and has not yet: see {page}."
        except WorkshopError as error:
            sentence = f"Stopped, but the run on Databricks may go on ({error}): cancel it on its page, {page}."
    before = watch.results() if watch is not None else {}
    results = [before.get(name) or NotebookResult(name=name, status="interrupted") for name in plan.parameters]
    return Executed(results, "interrupted", sentence, None, {})


def tidy_up(client: WorkspaceClient, place: str, submitted: Submitted | None, progress: Progress) -> None:
    """Remove from the workspace what the run has left there, now that it has ended.

    What can't be removed must not turn a run red that has delivered: then the progress says so.
    """
    try:
        if submitted is not None:
            submission.forget_job(client, submitted.job_id)
        code.remove(client, place)
    except WorkshopError as error:
        progress.said(f"{place} is left in the workspace, remove it by hand: {error}")


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
