"""One job at work: its approval, its folders, and its steps one after the other."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_devops_local import host, run_store
from azure_devops_local.agent import checkout, conditions, logging_commands, tasks, variables
from azure_devops_local.agent.conditions import Done
from azure_devops_local.agent.processes import OutOfTimeError
from azure_devops_local.agent.steps import StepAtWork, Workplace, sweep
from azure_devops_local.agent.variables import Mask, Variables
from azure_devops_local.language import expressions, pipeline, pools, values
from azure_devops_local.language.pipeline import Variable
from kit_common.errors import UserError, describe_os_error

Approver = Callable[[run_store.Run, run_store.Job], str | None]
"""Returns the name of the person who approved a job, or None for a rejection."""
Watcher = Callable[[run_store.Run], None]
"""Called at every change."""
_SECONDS_TO_CANCEL = 300.0


@dataclass(frozen=True)
class Service:
    """The stand-in for Azure DevOps, for the steps of a run."""

    collection_uri: str
    """Its address: the variable System.CollectionUri."""
    token: str
    """Its password: the variable System.AccessToken, a secret."""


class RunAtWork:
    """The run that its jobs share."""

    def __init__(
        self,
        run: run_store.Run,
        repository: Path,
        approver: Approver,
        watcher: Watcher | None,
        service: Service | None,
    ) -> None:
        self.run, self.repository, self.approver, self.watcher = run, repository, approver, watcher
        self.runs, self.mask = run_store.Runs(), Mask()
        self.folder = self.runs.folder_of(run.number)
        self.own = variables.predefined(run)
        """The predefined variables."""
        self.token = service.token if service else secrets.token_urlsafe(24)
        if service:
            uri = service.collection_uri
            self.own |= {"System.CollectionUri": uri, "System.TeamFoundationCollectionUri": uri}
        self.mask.add(self.token)
        self.logs = 0

    def saved(self) -> None:
        """Store the run as it is now, and call the watcher."""
        self.runs.save(self.run)
        if self.watcher is not None:
            self.watcher(self.run)

    def perform(self, job: pipeline.Job, entry: run_store.Job, known: Variables) -> dict[str, str]:
        """Execute a job, store the result in its entry, and return its output variables."""
        if reason := pools.unsupported(known.expand(job.pool)):
            raise UserError(f"The job {job.name} can't run here: {reason}")
        place = Workplace(
            self.run, self.folder, self.repository, self.own, known, self.mask, self.saved, _apply_command
        )
        entry.started = run_store.now()
        deadline = time.monotonic() + (job.timeout_minutes * 60 or float("inf"))
        place.make_folders(with_artifacts=job.finds_artifacts)
        known.add(place.folders(), read_only=True)
        known.put(Variable("System.AccessToken", self.token, secret=True, read_only=True))
        try:
            so_far: run_store.Result = "succeeded"
            is_late = False
            for step, step_entry in zip(job.steps, entry.steps, strict=True):
                if not is_late and time.monotonic() >= deadline:
                    # Like steps of a run that is canceled: those with `always()` run, but not for long.
                    is_late, so_far, deadline = True, "canceled", deadline + _SECONDS_TO_CANCEL
                    problem = f"The job took longer than its {job.timeout_minutes} minutes."
                    entry.issues.append(run_store.Issue(kind="error", text=problem))
                self._step(place, step, step_entry, so_far, deadline)
                so_far = conditions.worst((so_far, step_entry.result or "skipped"))
            entry.result = so_far
        finally:
            sweep(self.folder)
        # In Azure, the name of a deployment job comes before its outputs.
        prefix = f"{job.name}." if job.environment else ""
        return {f"{prefix}{name}": value for name, value in place.outputs.items()}

    def fail(self, entry: run_store.Job, sentence: str, result: run_store.Result = "failed") -> None:
        """Let a job fail, or be abandoned, for a reason outside of its steps."""
        entry.issues.append(run_store.Issue(kind="error", text=self.mask(sentence)))
        entry.result = result
        entry.skip()

    def is_job_approved(self, entry: run_store.Job) -> bool:
        """Return whether a person approves the deployment of a job, whose result is else a failure."""
        self.run.state, entry.asked = "waiting for approval", run_store.now()
        self.saved()
        entry.approved_by = self.mask(self.approver(self.run, entry) or "")
        self.run.state = "running"
        self.saved()
        if not entry.approved_by:
            self.fail(entry, f"The deployment to {entry.environment} was not approved.")
        return bool(entry.approved_by)

    def _step(
        self, place: Workplace, step: pipeline.Step, entry: run_store.Step, so_far: run_store.Result, deadline: float
    ) -> None:
        known = place.variables
        known.add({"Agent.JobStatus": conditions.azure_name(so_far)}, read_only=True)
        entry.name = self.mask(known.expand(step.display_name))
        problem = ""
        try:
            if not (step.enabled and holds(step.condition, known, {}, {"": Done("", so_far)})):
                entry.result = "skipped"
                return
        except UserError as error:
            problem = f"The condition of this step can't be evaluated: {error}"
        self.logs += 1
        own_deadline = time.monotonic() + (step.timeout_minutes * 60 or float("inf"))
        entry.started, entry.log = run_store.now(), f"logs/{self.logs}-{_slug(entry.name)}.log"
        self.saved()
        with (self.folder / entry.log).open("w", encoding="utf-8", errors="backslashreplace") as log:
            at_work = StepAtWork(place, step, entry, log, min(deadline, own_deadline))
            for name in known.circular():
                at_work.warn(f"The variable {name} stays as it is written, because it leads back to itself.")
            try:
                if problem:
                    raise UserError(problem)
                _perform(at_work)
            except KeyboardInterrupt:
                at_work.limit_result("canceled")
                raise
            except OutOfTimeError:
                at_work.fail("The step took longer than timeoutInMinutes of the step or of its job allows.")
                at_work.limit_result("canceled" if time.monotonic() >= deadline else "failed")
            except UserError as error:
                at_work.fail(str(error))
            except OSError as error:
                at_work.fail(describe_os_error(error, host.current().home_variable))
            finally:
                forgiven = at_work.result == "failed" and step.continue_on_error and not problem
                entry.result = "succeeded with issues" if forgiven else at_work.result
                entry.finished = run_store.now()
        self.saved()


def evaluate(text: str, known: Variables, scope: dict[str, Any], before: dict[str, Done] | None = None) -> Any:
    """Return the value of an expression; a condition may depend on the parts `before` it."""
    everything = {"dependencies": {}, "stageDependencies": {}, **scope, "variables": known.values()}
    return expressions.evaluate(text, everything, None if before is None else conditions.functions(before))


def holds(condition: str, known: Variables, scope: dict[str, Any], before: dict[str, Done]) -> bool:
    """Return whether a condition is met."""
    return values.is_true(evaluate(condition, known, scope, before))


def _perform(step: StepAtWork) -> None:
    if step.step.kind == "checkout":
        checkout.check_out(step)
    elif step.step.kind == "script":
        folder = step.place.variables.expand(step.step.working_directory)
        run_script = step.pwsh if step.step.powershell else step.bash
        run_script(step.step.script, folder, step.step.fail_on_stderr)
    else:
        tasks.perform(step)


def _apply_command(step: StepAtWork, line: str) -> None:
    if (command := logging_commands.parse(line)) is not None:
        logging_commands.apply(command, step)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "step"
