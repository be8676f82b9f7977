"""The agent: runs a pipeline's stages, jobs and steps on this machine, one at a time, as Azure DevOps would."""

import itertools
from pathlib import Path
from typing import Any

from azure_devops_local import host, run_store
from azure_devops_local.agent import conditions, run_name, variables
from azure_devops_local.agent.conditions import Done
from azure_devops_local.agent.jobs import Approver, RunAtWork, Service, Watcher, evaluate, holds
from azure_devops_local.agent.steps import sweep
from azure_devops_local.agent.variables import Variables
from azure_devops_local.language import documents, pipeline, reading, values
from azure_devops_local.language.pipeline import Variable
from kit_common.errors import UserError, describe_os_error

__all__ = ["Approver", "Service", "Watcher", "clean_up", "execute"]


def execute(
    run: run_store.Run,
    repository: Path,
    approver: Approver,
    watcher: Watcher | None = None,
    service: Service | None = None,
) -> run_store.Run:
    """Run a pipeline to its end, and save its record at every change.

    An interrupt ends the run as canceled, a mistake in its files as failed, with the `problem` in one sentence.

    Args:
        run: the stored run; it is changed in place and returned.
        repository: the repository with its commit.
        approver: called before a stage, for each environment that it deploys to.
        watcher: called at every change.
        service: the API for the steps; without it their token is not valid anywhere.
    """
    execution = _Execution(run, repository, approver, watcher, service)
    run.state, run.started = "running", run.started or run_store.now()
    result: run_store.Result = "failed"
    try:
        execution.saved()
        result = execution.whole()
    except KeyboardInterrupt:
        run.cancel()
    except UserError as error:
        run.problem = execution.mask(str(error))
    except OSError as error:
        run.problem = execution.mask(describe_os_error(error, host.current().home_variable))
    finally:
        if run.result is None:
            run.complete(result)
        clean_up(run.number)
        execution.saved()
    return run


def clean_up(number: int) -> int:
    """Kill the processes that a run's steps left, and remove its work folder; return the number of processes."""
    return sweep(run_store.Runs().folder_of(number))


class _Execution(RunAtWork):
    """One run of a pipeline."""

    def whole(self) -> run_store.Result:
        """Execute all stages, and return the run's result."""
        files = documents.Commit(self.repository, self.run.commit)
        name = self.run.pipeline
        path = documents.by_name(files).get(name, f"{documents.FOLDER}/{name}")
        self.pipeline = reading.read_pipeline(files, path, self.run.parameters, self.own)
        self.stages: dict[str, Done] = {}
        self.groups = {name: variables.read_group(name) for name in self.pipeline.groups}
        for variable in itertools.chain.from_iterable(self.groups.values()):
            if variable.secret:
                self.mask.add(variable.value)
        if self.pipeline.run_name_format:
            known = Variables(variables.entries_of(self.pipeline.variables, self.groups))
            known.add(self.own)
            self._evaluate(known, {})
            self.own["Build.BuildNumber"] = run_name.build_number(self.run, self.pipeline.run_name_format, known)
        entries = {stage.name: _stage_entry(stage) for stage in self.pipeline.stages}
        self.run.stages = list(entries.values())
        self.saved()
        for stage in conditions.in_order(self.pipeline.stages):
            self.stages[stage.name.lower()] = done = self._stage(stage, entries[stage.name])
            entries[stage.name].result = done.result
            self.saved()
        # Unlike a stage, a run without anything to do has succeeded.
        return conditions.worst(["succeeded", *(done.result for done in self.stages.values())])

    def _stage(self, stage: pipeline.Stage, entry: run_store.Stage) -> Done:
        done = Done(stage.name, before=conditions.all_before(stage.depends_on, self.stages))
        scope = {"dependencies": _for_expressions(conditions.named(stage.depends_on, self.stages))}
        legs = [leg for job in stage.jobs for leg in job.legs]
        entries = {(leg.name, leg.leg): job_entry for leg, job_entry in zip(legs, entry.jobs, strict=True)}
        try:
            reached = holds(stage.condition, self._variables(scope, stage), scope, done.before)
            if reached and not self._is_approved(stage, legs, entry):
                reached, done.result = False, "failed"
        except UserError as error:
            for job_entry in entry.jobs:
                self.fail(job_entry, f"The stage is abandoned: {error}", "abandoned")
            done.result = "abandoned"
            return done
        if not reached:
            for job_entry in entry.jobs:
                job_entry.skip()
            return done
        for job in conditions.in_order(stage.jobs):
            job_done = Done(job.name, before=conditions.all_before(job.depends_on, done.jobs))
            ends: list[run_store.Result] = []
            for leg in job.legs:
                leg_done = Done(job.name, before=job_done.before)
                self._job(stage, leg, entries[job.name, leg.leg], leg_done, done.jobs)
                prefix = f"{leg.leg}." if leg.leg else ""
                job_done.outputs |= {f"{prefix}{name}": value for name, value in leg_done.outputs.items()}
                ends.append(leg_done.result)
            job_done.result = ends[0] if len(set(ends)) == 1 else conditions.worst(ends)
            done.jobs[job.name.lower()] = job_done
            done.outputs |= {f"{job.name}.{name}": value for name, value in job_done.outputs.items()}
        done.result = conditions.worst(one.result for one in done.jobs.values())
        return done

    def _earlier_jobs(self, stage: pipeline.Stage) -> dict[str, Any]:
        earlier = conditions.named(stage.depends_on, self.stages)
        return {"stageDependencies": {name: _for_expressions(one.jobs) for name, one in earlier.items()}}

    def _is_approved(self, stage: pipeline.Stage, legs: list[pipeline.Job], entry: run_store.Stage) -> bool:
        """Return whether the deployments of a stage are approved, each environment once, before its first job."""
        approvals: dict[str, str] = {}
        scope = self._earlier_jobs(stage)
        for job, job_entry in zip(legs, entry.jobs, strict=True):
            if job.environment:
                name = job_entry.environment = self._variables(scope, stage, job).expand(job.environment)
                job_entry.approved_by = approvals.get(name.lower(), "")
                if not job_entry.approved_by and not self.is_job_approved(job_entry):
                    return False
                approvals[name.lower()] = job_entry.approved_by
        return True

    def _job(
        self, stage: pipeline.Stage, job: pipeline.Job, entry: run_store.Job, done: Done, siblings: dict[str, Done]
    ) -> None:
        dependencies = _for_expressions(conditions.named(job.depends_on, siblings))
        scope = {"dependencies": dependencies, **self._earlier_jobs(stage)}
        try:
            known = self._variables(scope, stage, job)
            if self._is_reached(job, entry, known, scope, done.before):
                self._compute(known, job, scope)
                done.outputs = self.perform(job, entry, known)
        except UserError as error:
            self.fail(entry, str(error))
        finally:
            entry.finished = run_store.now() if entry.started else None
        if entry.result is None:
            entry.skip()
        elif entry.result == "failed" and job.continue_on_error:
            entry.result = "succeeded with issues"
        done.result = entry.result or "skipped"
        self.saved()

    def _is_reached(
        self, job: pipeline.Job, entry: run_store.Job, known: Variables, scope: dict[str, Any], before: dict[str, Done]
    ) -> bool:
        """Return whether a job's condition is met; a job whose condition can't be evaluated is abandoned."""
        try:
            return holds(job.condition, known, scope, before)
        except UserError as error:
            self.fail(entry, f"The job is abandoned: {error}", "abandoned")
            return False

    def _variables(self, scope: dict[str, Any], stage: pipeline.Stage, job: pipeline.Job | None = None) -> Variables:
        """Return the variables of the condition of a stage or a job: all but those that are computed in it."""
        known, innermost = Variables([Variable("System.Debug", "False")]), job or stage
        for part in (self.pipeline, stage, job) if job else (self.pipeline, stage):
            for variable in variables.entries_of(part.variables, self.groups):
                if not (part is innermost and variable.is_computed):
                    known.put(variable)
        own = {
            "System.StageName": stage.name,
            "System.StageDisplayName": stage.display_name,
            "System.StageAttempt": "1",
        }
        if job:
            names = {"System.JobName": job.leg or job.name, "System.PhaseName": job.name}
            names["Agent.JobName"] = f"{job.name} {job.leg}".strip()
            own |= {**names, "System.JobDisplayName": job.display_name, "System.JobAttempt": "1"}
            if job.environment:
                known.put(Variable("Environment.Name", job.environment, written=True))
        known.add({**self.own, **own}, read_only=True)
        self._evaluate(known, scope)
        return known

    def _compute(self, known: Variables, job: pipeline.Job, scope: dict[str, Any]) -> None:
        """Add the variables that are computed in a job, and those of its leg of a matrix."""
        computed = [one for one in variables.entries_of(job.variables, self.groups) if one.is_computed]
        for variable in (*computed, *variables.entries_of(job.leg_variables, self.groups)):
            known.refuse_read_only(variable.name)
            known.put(variable)
        self._evaluate(known, scope)

    def _evaluate(self, known: Variables, scope: dict[str, Any]) -> None:
        known.evaluate(lambda text: values.as_text(evaluate(text, known, scope)), self.mask)


def _for_expressions(done: dict[str, Done]) -> dict[str, Any]:
    return {name: one.for_expressions() for name, one in done.items()}


def _stage_entry(stage: pipeline.Stage) -> run_store.Stage:
    jobs = [
        run_store.Job(
            name=leg.display_name,
            environment=leg.environment,
            steps=[run_store.Step(name=step.display_name) for step in leg.steps],
        )
        for job in stage.jobs
        for leg in job.legs
    ]
    # A pipeline without a stage has an implied one, whose name means nothing to a reader.
    name = "The only stage" if stage.display_name == "__default" else stage.display_name
    return run_store.Stage(name=name, jobs=jobs)
