"""The record of a run: its timeline, in `run.json`, written by the process that runs it and read by all views."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock
from pydantic import BaseModel, Field, ValidationError

from azure_devops_local import host
from kit_common.errors import UserError
from kit_common.files import write_whole

Record = TypeVar("Record", bound=BaseModel)
Result = Literal["succeeded", "succeeded with issues", "failed", "canceled", "skipped", "abandoned"]
"""`abandoned`: the condition of a job or a stage could not be evaluated."""
_REASONS = {
    "manual": "a manual start",
    "individualCI": "a push",
    "batchedCI": "a push, batched",
    "pullRequest": "a pull request",
}
State = Literal["queued", "running", "waiting for approval", "completed"]


def now() -> datetime:
    """Return the time, for a record."""
    return datetime.now(UTC)


class Issue(BaseModel):
    """A warning or an error of a step."""

    kind: Literal["warning", "error"]
    text: str


class Part(BaseModel):
    """A step or a job on the timeline."""

    name: str
    result: Result | None = None
    started: datetime | None = None
    finished: datetime | None = None
    issues: list[Issue] = Field(default_factory=list)


class Step(Part):
    """One step on the timeline."""

    log: str = ""
    """The log's path, relative to the run's folder; empty until it starts."""


class Job(Part):
    """One job on the timeline."""

    environment: str = ""
    """The environment of a deployment job."""
    asked: datetime | None = None
    """Start of the wait for an approval."""
    approved_by: str = ""
    steps: list[Step] = Field(default_factory=list)

    def skip(self, result: Result = "skipped") -> None:
        """Set this result on the job and on its steps, if they have none."""
        for part in (*self.steps, self):
            part.result = part.result or result


class Stage(BaseModel):
    """One stage on the timeline."""

    name: str
    result: Result | None = None
    jobs: list[Job] = Field(default_factory=list)


class Run(BaseModel):
    """One run of a pipeline."""

    number: int = 0
    """Assigned when the run is stored."""
    pipeline: str
    """The file's name, `cd.yml`."""
    branch: str
    """Without `refs/heads/`; `refs/pull/N/merge` for a build validation."""
    pull_request: tuple[str, str] | None = None
    """Source and target branch of the pull request that a build validation tests, without `refs/heads/`."""
    commit: str
    message: str = ""
    """The commit's subject."""
    reason: Literal["manual", "individualCI", "batchedCI", "pullRequest"] = "manual"
    """In the terms of the variable Build.Reason."""
    requested_for: str = ""
    parameters: dict[str, str] = Field(default_factory=dict)
    state: State = "queued"
    result: Result | None = None
    problem: str = ""
    """Why it did not start, or stopped: one sentence."""
    created: datetime = Field(default_factory=now)
    started: datetime | None = None
    finished: datetime | None = None
    stages: list[Stage] = Field(default_factory=list)
    notices: list[str] = Field(default_factory=list)
    """Differences between this agent and Azure DevOps that the run has met, one sentence each."""
    artifacts: list[str] = Field(default_factory=list)
    """Names; each is a folder or file below `artifacts/` in the run's folder."""
    summaries: list[str] = Field(default_factory=list)
    """Markdown files for the summary page, relative to the run's folder."""
    tests: dict[str, int] = Field(default_factory=dict)
    """Published test results: passed, failed, skipped."""
    tags: list[str] = Field(default_factory=list)

    @property
    def waiting_job(self) -> int | None:
        """The index, among all jobs, of the one that waits for an approval."""
        jobs = [job for stage in self.stages for job in stage.jobs]
        waiting = (at for at, job in enumerate(jobs) if job.asked and not job.approved_by and job.result is None)
        return next(waiting, None) if self.state == "waiting for approval" else None

    @property
    def environments(self) -> list[str]:
        """The environments of its deployment jobs."""
        return [job.environment for stage in self.stages for job in stage.jobs if job.environment]

    @property
    def started_by(self) -> str:
        """The event that started the run, and the person."""
        return ", ".join(filter(None, (_REASONS[self.reason], self.requested_for)))

    @property
    def title(self) -> str:
        """The run's name in sentences and on pages."""
        return f"run {self.number} of {self.pipeline}"

    def cancel(self) -> None:
        """End a run that was stopped from outside."""
        self.problem = f"It was stopped by Ctrl-C or `{host.current().advice} stop`."
        self.complete("canceled")

    def complete(self, result: Result) -> None:
        """End the run, and each part without a result: begun parts with that result, others as skipped or canceled."""
        self.state, self.result, self.finished = "completed", result, now()
        rest: Result = "canceled" if result == "canceled" else "skipped"
        for stage in self.stages:
            for job in stage.jobs:
                for part in (*job.steps, job):
                    if part.started and part.result is None:
                        part.result, part.finished = result, self.finished
                job.skip(rest)
            if stage.result is None:
                stage.result = result if any(job.started for job in stage.jobs) else rest


def read_record(path: Path, kind: type[Record]) -> Record:
    """Return the content of a JSON file.

    Raises:
        UserError: it is damaged.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is damaged: restore it, or remove it.") from error


class Runs:
    """The runs of this machine, one folder each below `runs` in the home, numbered from 1."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or host.current().home / "runs"

    def folder_of(self, number: int) -> Path:
        """Return the folder of one run."""
        return self.folder / str(number)

    def numbers(self) -> list[int]:
        """Return the numbers of all runs, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(path.name) for path in self.folder.iterdir() if path.name.isdigit() and (path / "run.json").is_file()
        )

    def all(self) -> list[Run]:
        """Return the runs with a readable record, oldest first."""
        return [run for number in self.numbers() if (run := self.readable(number)) is not None]

    def readable(self, number: int) -> Run | None:
        """Return a run, or None if its record is damaged, which must not block the other runs."""
        with suppress(UserError):
            return self.load(number)
        return None

    def load(self, number: int) -> Run:
        """Return a run.

        Raises:
            UserError: no run has that number, or its record is damaged.
        """
        path = self.folder_of(number) / "run.json"
        if not path.is_file():
            raise UserError(f"There is no run {number}: `{host.current().advice} runs` lists them.")
        return read_record(path, Run)

    def add(self, run: Run) -> Run:
        """Store a new run under the next number, and return it with that number."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            run = run.model_copy(update={"number": max(self.numbers(), default=0) + 1})
            self.folder_of(run.number).mkdir(parents=True, exist_ok=True)
            self.save(run)
        return run

    def save(self, run: Run) -> None:
        """Store the run as it is now."""
        write_whole(self.folder_of(run.number) / "run.json", run.model_dump_json(indent=1))
