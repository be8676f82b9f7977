"""Executes a run's notebooks on Databricks: signs in, submits one run, follows it, and brings back what came of it."""

import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient

from workshop.core.errors import UsageError, WorkshopError
from workshop.core.parameters import Parameters
from workshop.core.provenance import git_commit, who
from workshop.core.settings import current_settings
from workshop.databricks import abandoned, job, submission, trail, upload
from workshop.databricks.ending import (
    active_runs,
    bring_back,
    end_what_runs,
    forget_trail,
    may_go_on,
    stop,
    tidy_up,
)
from workshop.databricks.errors import explained
from workshop.databricks.job import Work
from workshop.databricks.settings import PREFIX, databricks_settings
from workshop.databricks.sign_in import require_service_principal, sign_in
from workshop.databricks.sign_in import who as signed_in_as
from workshop.databricks.submission import Submitted
from workshop.databricks.trail import Trail
from workshop.databricks.watch import Watch
from workshop.runner import interruption
from workshop.runner.plan import Executed, Plan, Progress, Request
from workshop.runner.summary import NotebookResult

_LOOK_FOR_IT = "`workshop databricks cancel` looks for it and ends it"


class DatabricksTarget:
    """A workspace."""

    def __init__(self, request: Request) -> None:
        """Point MLflow at the workspace, for all that this process asks the registry from now on."""
        if request.cell_timeout is not None:
            raise UsageError(
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
        upload.require_clean(commit)
        if self.settings.code == "git":
            upload.require_pushed(commit, self.settings.git_url)
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

    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        """See `Target`. Whatever happens, nothing is left running that nobody follows, as far as that can be done."""
        given = {**job.environment(self.settings, plan.model_name), **plan.parameters}
        submission_id = uuid.uuid4().hex
        left = Trail(
            host=self.client.config.host or "",
            submission_id=submission_id,
            pid=os.getpid(),
            pipelines_run=submission.pipelines_run(),
            token=submission.token(self.settings, json.dumps([plan.commit, given], sort_keys=True, default=str)),
            place=upload.place_of(self.settings, plan.commit, submission_id),
            makes_jobs=self.settings.compute == "job_cluster",
        )
        abandoned.mention(left.token, progress)
        with trail.left_by(plan.folder, left):
            submitted, executed = self._execute(plan, left, progress)
            with interruption.undisturbed():
                try:
                    yield executed
                finally:
                    if submitted is not None and executed.over:
                        self._tidy_up(plan, left, submitted, progress)

    def _execute(self, plan: Plan, left: Trail, progress: Progress) -> tuple[Submitted | None, Executed]:
        """The run, if it was started and is not tidied up after, and what came of it."""
        submitted: Submitted | None = None
        try:
            submitted = submission.submit(self.client, self._work(plan, left), self.settings, left.token)
            if submitted.earlier:
                progress.said("This run has been started before: it is followed, and no second one is started.")
            return submitted, bring_back(self.client, submitted, plan, self.settings, progress)
        except submission.StoppedError as error:
            with interruption.undisturbed():
                return self._stopped_early(plan, left, error.submitted, progress, is_starting=True)
        except KeyboardInterrupt:
            with interruption.undisturbed():
                return self._stopped_early(plan, left, None, progress)
        except upload.OccupiedError:
            trail.gone_cold(plan.folder)
            raise
        except WorkshopError as error:
            with interruption.undisturbed():
                is_starting = isinstance(error, submission.UncertainError)
                what_now = self._given_up(plan, left, submitted, progress, is_starting=is_starting)
            raise WorkshopError(f"{error} {what_now}".strip()) from error
        except BaseException:
            with interruption.undisturbed():
                self._given_up(plan, left, submitted, progress)
            raise

    def _given_up(
        self,
        plan: Plan,
        left: Trail,
        submitted: Submitted | None,
        progress: Progress,
        *,
        is_starting: bool = False,
    ) -> str:
        """End what we have started, as what is about to be raised keeps us from following it; says what may go on."""
        # One that was started before may be followed by whoever has started it.
        started = submitted if submitted is not None and not submitted.earlier else None
        try:
            ended = end_what_runs(self.client, plan.folder, left, progress, started, is_all=not is_starting)
        except WorkshopError:
            where = f" ({started.page})" if started is not None else ""
            return f"What was started on Databricks{where} may go on: {_LOOK_FOR_IT}."
        if is_starting and not ended.ours:
            return f"Whether it starts yet is not known: {_LOOK_FOR_IT}."
        return may_go_on(submitted) if submitted is not None and submitted.earlier else ""

    def _stopped_early(
        self,
        plan: Plan,
        left: Trail,
        submitted: Submitted | None,
        progress: Progress,
        *,
        is_starting: bool = False,
    ) -> tuple[Submitted | None, Executed]:
        """Somebody has stopped us before we followed the run: it ends, if there is one, and the others' go on."""
        unsure = interruption.something_was_cut_short() or is_starting
        try:
            ours, others = active_runs(self.client, left) if submitted is None else ([submitted], [])
            if ours:
                watch = Watch(self.client, plan, progress)
                return ours[0], stop(self.client, ours[0], watch, progress)
            end_what_runs(self.client, plan.folder, left, progress, is_all=not unsure)
        except WorkshopError as error:
            why = str(error).rstrip(".")
            sentence = f"Stopped, but a run may have been started on Databricks and go on ({why}): {_LOOK_FOR_IT}."
        else:
            if others:
                sentence = f"Stopped; a run that was started earlier with the same token goes on: {others[0].page}."
            elif unsure:
                sentence = f"Stopped while a run was being started on Databricks, which may go on: {_LOOK_FOR_IT}."
            else:
                sentence = "Stopped before the run was started on Databricks; run it again when you like."
        not_run = [NotebookResult(name=name, status="not run") for name in plan.parameters]
        return None, Executed(not_run, "interrupted", sentence, None, {})

    def _tidy_up(self, plan: Plan, left: Trail, submitted: Submitted, progress: Progress) -> None:
        if tidy_up(self.client, left, (submitted, *submitted.failed_before), progress):
            forget_trail(plan.folder, progress)

    def _work(self, plan: Plan, left: Trail) -> Work:
        from_git = self.settings.code == "git"
        with tempfile.TemporaryDirectory(prefix="workshop-code-") as folder:
            built = upload.of_commit(plan.commit, Path(folder))
            wheel = upload.upload(self.client, built, left.place, notebooks=not from_git)
        environment = {
            **job.environment(self.settings, plan.model_name),
            "WORKSHOP_RUN_ID": plan.run_id,
            "WORKSHOP_RUN_NOTEBOOKS": ",".join(plan.parameters),
            "WORKSHOP_GIT_COMMIT": plan.commit,
            "WORKSHOP_REQUESTED_FOR": who(),
            submission.SUBMISSION: left.submission_id,
            submission.PLACE: left.place,
        }
        return Work(
            title=f"workshop {plan.request.action.value} {plan.model_name} {plan.run_id}",
            base_parameters={
                name: {**environment, **{key: _as_text(value) for key, value in given.items()}}
                for name, given in plan.parameters.items()
            },
            notebook_folder=upload.NOTEBOOKS if from_git else f"{left.place}/notebooks",
            requirements=(wheel, *built.pins),
            commit=plan.commit,
        )


def point_mlflow_at_the_workspace(model_name: str) -> None:
    """Let MLflow and our own settings here mean the registry that the notebooks use there.

    What else the environment may name, a server for one, is none that a run on Databricks records in; `databricks://…`
    is the same workspace by another profile.
    """
    for name, value in job.registry_of(model_name).items():
        if not os.environ.get(name, "").startswith("databricks"):
            os.environ[name] = value


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
