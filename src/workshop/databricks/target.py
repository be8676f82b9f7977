"""The run target `databricks`: executes a run's notebooks in a workspace and returns their results."""

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs
from typing_extensions import override

from workshop.core.errors import UsageError, WorkshopError
from workshop.core.parameters import Parameters
from workshop.core.provenance import git_commit, who
from workshop.core.settings import current_settings
from workshop.databricks import job, leftovers, upload
from workshop.databricks.errors import explained, harmless
from workshop.databricks.job import Work
from workshop.databricks.remote_run import RemoteRun, RunMarker, pipelines_run, token
from workshop.databricks.retries import in_a_hurry
from workshop.databricks.settings import PREFIX, DatabricksSettings, databricks_settings, require_location
from workshop.databricks.sign_in import require_service_principal, sign_in
from workshop.databricks.sign_in import who as signed_in_as
from workshop.databricks.tasks import Tasks
from workshop.runner import interruption
from workshop.runner.notebooks import Notebook
from workshop.runner.summary import NotebookResult
from workshop.runner.target import Executed, Plan, Progress, Request, Target

_LOOK_FOR_IT = "`workshop databricks cancel` finds and cancels it"


class DatabricksTarget(Target):
    """A workspace."""

    client: WorkspaceClient
    """Set by `reach`, which is called before anything else."""

    def __init__(self, request: Request) -> None:
        """Point MLflow at the workspace, for all requests of this process to the registry."""
        if request.cell_timeout is not None:
            raise UsageError(
                f"Databricks has no time-out for a cell: leave --cell-timeout out, and set {PREFIX}TIMEOUT_MINUTES."
            )
        self.settings = databricks_settings()
        self._model_name = str(request.parameters.get("model_name", Parameters().model_name))
        point_mlflow_at_the_workspace(self._model_name)

    @override
    def reach(self, progress: Progress) -> None:
        # Problems of this machine are found before signing in.
        commit = git_commit()
        upload.require_clean(commit)
        job.require_job_id(self.settings)
        if self.settings.code == "git":
            upload.require_pushed(commit, self.settings.git_url)
        require_location(self.settings)
        self.client = sign_in(retry_seconds=self.settings.retry_seconds, say=progress.said)
        identity = signed_in_as(self.client)
        require_service_principal(identity)
        kind = "the service principal " if identity.is_service_principal else ""
        progress.said(f"Signed in as {kind}{harmless(identity.name)}.")

    @override
    def get_ready(self, notebooks: Sequence[Notebook]) -> None:
        # MLflow creates an experiment only in a folder that exists.
        experiments = f"{current_settings().experiments}/{self._model_name}"
        with explained(f"make the folder {experiments} for MLflow's experiments"):
            self.client.workspace.mkdirs(experiments)

    @override
    @contextmanager
    def executed(self, plan: Plan, progress: Progress) -> Iterator[Executed]:
        marker = self._marker(plan)
        run = RemoteRun(self.client, progress.said, marker)
        leftovers.mention(marker.token, progress)
        with leftovers.marked(plan.folder, marker):
            executed = self._execute(plan, run, marker, progress)
            with interruption.undisturbed():
                try:
                    yield executed
                finally:
                    if run.state == "ended" and run.clean_up():
                        leftovers.forget(plan.folder, progress)

    def _execute(self, plan: Plan, run: RemoteRun, marker: RunMarker, progress: Progress) -> Executed:
        """Submit the run and follow it; cancel it whenever it is no longer followed."""
        try:
            run.submit(self._work(plan, marker), self.settings)
            return bring_back(run, plan, self.settings, progress)
        except KeyboardInterrupt:
            with interruption.undisturbed():
                return _stopped_early(plan, run, progress)
        except upload.OccupiedError:
            leftovers.forget(plan.folder, progress)
            raise
        except WorkshopError as error:
            with interruption.undisturbed():
                raise WorkshopError(f"{error} {_give_up(plan, run, progress)}".strip()) from error
        except BaseException:
            with interruption.undisturbed():
                _give_up(plan, run, progress)
            raise

    def _marker(self, plan: Plan) -> RunMarker:
        given = {**job.environment(self.settings, plan.model_name), **plan.parameters}
        submission_id = uuid.uuid4().hex
        is_deployed = self.settings.compute == "job_cluster"
        return RunMarker(
            host=self.client.config.host or "",
            submission_id=submission_id,
            pid=os.getpid(),
            pipelines_run=pipelines_run(),
            token=token(self.settings, json.dumps([plan.commit, given], sort_keys=True, default=str)),
            place="" if is_deployed else upload.place_of(self.settings, plan.commit, submission_id),
            job_id=self.settings.job_id if is_deployed else 0,
        )

    def _work(self, plan: Plan, marker: RunMarker) -> Work:
        environment = {
            **job.environment(self.settings, plan.model_name),
            job.RUN_ID: plan.run_id,
            "WORKSHOP_RUN_NOTEBOOKS": ",".join(plan.parameters),
            job.COMMIT: plan.commit,
            "WORKSHOP_REQUESTED_FOR": who(),
            job.SUBMISSION: marker.submission_id,
            job.CODE_FOLDER: marker.place,
        }
        parameters = {
            name: {**environment, **{key: _as_text(value) for key, value in given.items()}}
            for name, given in plan.parameters.items()
        }
        work = Work(
            title=f"workshop {plan.request.action.value} {plan.model_name} {plan.run_id}",
            base_parameters=parameters,
            commit=plan.commit,
        )
        if marker.job_id:
            job.require_deployed(self.client, marker.job_id, plan.commit, plan.parameters)
            return work
        from_git = self.settings.code == "git"
        with tempfile.TemporaryDirectory(prefix="workshop-code-") as folder:
            built = upload.of_commit(plan.commit, Path(folder))
            wheel = upload.upload(self.client, built, marker.place, notebooks=not from_git)
        notebook_folder = upload.NOTEBOOKS if from_git else f"{marker.place}/notebooks"
        return replace(work, notebook_folder=notebook_folder, requirements=(wheel, *built.pins))


def bring_back(run: RemoteRun, plan: Plan, settings: DatabricksSettings, progress: Progress) -> Executed:
    """Follow a run to its end and return its result; Ctrl-C cancels it, unless another user started it."""
    tasks = Tasks(run.client, plan, progress)
    try:
        return _result(run.follow(settings, tasks.look_at), run, tasks)
    except KeyboardInterrupt:
        with interruption.undisturbed():
            return _stop(run, tasks, progress)


def may_go_on(run: RemoteRun) -> str:
    """Return what to do about a run that can't be followed any more, in a sentence."""
    return f"Whether the run goes on is on its page, {run.page}; `workshop run --follow {run.run_id}` follows it again."


def point_mlflow_at_the_workspace(model_name: str) -> None:
    """Set MLflow's and the kit's environment variables to the registry that the notebooks use there.

    A server that the environment names is set aside; `databricks://…` is the same workspace by another profile.
    """
    for name, value in job.registry_of(model_name).items():
        if not os.environ.get(name, "").startswith("databricks"):
            os.environ[name] = value


def _give_up(plan: Plan, run: RemoteRun, progress: Progress) -> str:
    """Cancel and clean up what this process started, after an error; return what may go on, in a sentence."""
    where = f" ({run.page})" if run.page else ""
    try:
        is_clean = run.end()
    except WorkshopError:
        return f"What was started on Databricks{where} may go on: {_LOOK_FOR_IT}."
    if run.may_start_yet:
        return f"A run may still start: {_LOOK_FOR_IT}."
    if is_clean:
        leftovers.forget(plan.folder, progress)
    return may_go_on(run) if run.origin == "earlier" and run.state != "ended" else ""


def _stopped_early(plan: Plan, run: RemoteRun, progress: Progress) -> Executed:
    """Return the result of a run that was stopped before it was followed; cancel it if it was started."""
    is_unsure = interruption.something_was_cut_short() or run.may_start_yet
    try:
        if run.run_id is not None or (run.may_start_yet and run.find()):
            return _stop(run, Tasks(run.client, plan, progress), progress)
        if run.clean_up() and not is_unsure:
            leftovers.forget(plan.folder, progress)
    except WorkshopError as error:
        reason = str(error).rstrip(".")
        sentence = f"Stopped, but a run may have been started on Databricks and go on ({reason}): {_LOOK_FOR_IT}."
    else:
        sentence = (
            f"Stopped while a run was being started on Databricks, which may go on: {_LOOK_FOR_IT}."
            if is_unsure
            else "Stopped before the run was started on Databricks; run it again when you like."
        )
    not_run = [NotebookResult(name=name, status="not run") for name in plan.parameters]
    return Executed(not_run, "interrupted", sentence, None, {})


def _stop(run: RemoteRun, tasks: Tasks, progress: Progress) -> Executed:
    """Cancel a run after Ctrl-C, unless another user started it, and return its result."""
    if run.origin == "foreign":
        return _not_over(run, tasks, f"No longer followed; the run is another user's and goes on: {run.page}.")
    progress.said("Stopping: the run on Databricks is being cancelled.")
    where = run.page or f"the run {run.run_id}"
    with in_a_hurry(run.client):
        try:
            ended = run.cancel()
        except WorkshopError as error:
            sentence = (
                f"Stopped, but the run on Databricks may go on ({str(error).rstrip('.')}): cancel it on its page, "
                f"{where}, or with `workshop databricks cancel`."
            )
            return _not_over(run, tasks, sentence)
        if ended is None:
            return _not_over(
                run, tasks, f"Stopped; the run on Databricks was cancelled and has not ended: see {where}."
            )
        tasks.look_at(ended)
    executed = _result(ended, run, tasks)
    if executed.status != "interrupted":
        progress.said("The run had already ended.")
        return executed
    sentence = f"Stopped, and the run on Databricks was cancelled ({run.page}); run it again when you like."
    return replace(executed, sentence=sentence)


def _not_over(run: RemoteRun, tasks: Tasks, sentence: str) -> Executed:
    return Executed(tasks.results_so_far(), "interrupted", sentence, None, {}, over=False, run_page=run.page)


def _result(ended: jobs.Run, run: RemoteRun, tasks: Tasks) -> Executed:
    executed = replace(tasks.executed(ended), run_page=run.page)
    if run.origin == "here":
        return executed
    # The run began before this process, so only the run itself has its times and the slots before it.
    if executed.outcome is not None:
        executed = replace(executed, slots_before=executed.outcome.slots_before)
    if ended.start_time and ended.end_time:
        started = datetime.fromtimestamp(ended.start_time // 1000, UTC)
        executed = replace(executed, started=started, seconds=round((ended.end_time - ended.start_time) / 1000, 2))
    return executed


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
