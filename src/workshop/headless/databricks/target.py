"""Executes a run's notebooks on Databricks: signs in, submits one run, follows it, and brings back what came of it."""

import json
import os
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient

from workshop.core.errors import WorkshopError
from workshop.core.parameters import Parameters
from workshop.core.provenance import git_commit, who
from workshop.core.settings import current_settings
from workshop.headless import interruption
from workshop.headless.databricks import abandoned, code, definition, submission, trail
from workshop.headless.databricks.definition import Work
from workshop.headless.databricks.ending import Attempt, bring_back, end_what_runs, tidy_up
from workshop.headless.databricks.errors import explained
from workshop.headless.databricks.settings import PREFIX, databricks_settings
from workshop.headless.databricks.sign_in import require_service_principal, sign_in
from workshop.headless.databricks.sign_in import who as signed_in_as
from workshop.headless.databricks.submission import Submitted
from workshop.headless.databricks.trail import Trail
from workshop.headless.notebooks import RequestError
from workshop.headless.plan import Executed, Plan, Progress, Request
from workshop.headless.summary import NotebookResult

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
        """Signed in, once it was reached."""
        assert self._client is not None, "`reach` is called before anything else"
        return self._client

    def reach(self, progress: Progress) -> None:
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
        self._client = sign_in(retry_seconds=self.settings.retry_seconds, say=progress.said)
        require_service_principal(signed_in_as(self._client))

    def get_ready(self) -> None:
        """See `Target`: MLflow keeps no experiment in a folder that is not there, and makes none."""
        experiments = f"{current_settings().experiments}/{self._model_name}"
        with explained(f"make the folder {experiments} for MLflow's experiments"):
            self.client.workspace.mkdirs(experiments)

    def execute(self, plan: Plan, progress: Progress) -> Executed:
        """See `Target`. Whatever happens, nothing is left running that nobody follows, as far as that can be done."""
        given = {**definition.environment(self.settings, plan.model_name), **plan.parameters}
        token = submission.token(self.settings, json.dumps([plan.commit, given], sort_keys=True, default=str))
        place = code.place_of(self.settings, plan.commit, token)
        attempt = Attempt(plan.folder, token, place, submission_id=uuid.uuid4().hex)
        abandoned.mention(token, progress)
        submitted: Submitted | None = None
        with trail.left_by(plan.folder, self._trail(attempt)):
            try:
                work = self._work(plan, attempt)
                submitted = submission.submit(self.client, work, self.settings, token)
                if submitted.earlier:
                    progress.said("This run has been started before: it is followed, and no second one is started.")
                executed = bring_back(self.client, submitted, plan, self.settings, progress)
            except KeyboardInterrupt:
                with interruption.undisturbed():
                    interruption.heard()
                    return self._stopped_early(plan, attempt, progress)
            except code.OccupiedError:
                trail.gone_cold(plan.folder)
                raise
            except BaseException:
                # What is about to be raised says what is wrong.
                with interruption.undisturbed(), suppress(WorkshopError):
                    end_what_runs(self.client, attempt, submitted, self.settings, progress)
                raise
            with interruption.undisturbed():
                if executed.over and tidy_up(self.client, place, self._token_of_jobs(token), self.settings, progress):
                    trail.gone_cold(plan.folder)
            return executed

    def _trail(self, attempt: Attempt) -> Trail:
        return Trail(
            host=self.client.config.host or "",
            token=attempt.token,
            place=attempt.place,
            submission_id=attempt.submission_id,
            pid=os.getpid(),
            pipelines_run=submission.pipelines_run(),
        )

    def _token_of_jobs(self, token: str) -> str:
        """The token, where jobs are made by it."""
        return token if self.settings.compute == "job_cluster" else ""

    def _stopped_early(self, plan: Plan, attempt: Attempt, progress: Progress) -> Executed:
        """Somebody has stopped us before we knew which run is ours."""
        sentence = "Stopped before the run was started on Databricks; run it again when you like."
        try:
            others = end_what_runs(self.client, attempt, None, self.settings, progress)
            if others:
                sentence = f"Stopped; a run that was started earlier with the same token goes on: {others[0].page}."
        except WorkshopError as error:
            sentence = (
                f"Stopped, but a run may have been started on Databricks and go on ({str(error).rstrip('.')}): "
                "`workshop databricks cancel` looks for it and ends it."
            )
        not_run = [NotebookResult(name=name, status="not run") for name in plan.parameters]
        return Executed(not_run, "interrupted", sentence, None, {})

    def _work(self, plan: Plan, attempt: Attempt) -> Work:
        from_git = self.settings.code == "git"
        with tempfile.TemporaryDirectory(prefix="workshop-code-") as folder:
            built = code.of_commit(plan.commit, Path(folder))
            wheel = code.upload(self.client, built, attempt.place, notebooks=not from_git)
        environment = {
            **definition.environment(self.settings, plan.model_name),
            "WORKSHOP_RUN_ID": plan.run_id,
            "WORKSHOP_GIT_COMMIT": plan.commit,
            "WORKSHOP_REQUESTED_FOR": who(),
            submission.SUBMISSION: attempt.submission_id,
            PLACE: attempt.place,
        }
        return Work(
            title=f"workshop {plan.request.action.value} {plan.model_name} {plan.run_id}",
            base_parameters={
                name: {**environment, **{key: _as_text(value) for key, value in given.items()}}
                for name, given in plan.parameters.items()
            },
            notebook_folder=code.NOTEBOOKS if from_git else f"{attempt.place}/notebooks",
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


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
