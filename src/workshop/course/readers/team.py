"""The facts of the team's Azure DevOps on this machine, from its folder."""

from pathlib import Path

from azure_devops_local.run_store import Run, Runs
from azure_devops_local.server.pull_request_record import PullRequest
from workshop.course.facts import PipelineRun, Request, Team
from workshop.course.readers import clone

_LOG_END = 4000
"""Bytes; an error is at the end."""


def read(folder: Path, email: str) -> tuple[Team | None, dict[str, str]]:
    """Return the facts, None before the repository exists, and the sentences on damaged records.

    Args:
        folder: the home of the team's Azure DevOps.
        email: the e-mail address of this clone's user.

    Raises:
        Unseen: Git does not work in the repository.
        OSError: the folder can't be read.
    """
    runs, damaged_runs = _runs(folder / "runs")
    requests, damaged_requests = _requests(folder / "pull_requests")
    damaged = {
        **({"runs": _sentence("pipeline run", damaged_runs, folder / "runs")} if damaged_runs else {}),
        **({"requests": _sentence("pull request", damaged_requests, folder)} if damaged_requests else {}),
    }
    repository = folder / "repository.git"
    if not repository.is_dir():
        return (Team("", runs=runs) if runs else None), damaged
    branches = clone.tips(repository)
    team = Team(
        path=str(repository),
        branches=branches,
        requests=requests,
        runs=runs,
        parents=clone.graph(repository),
        strangers={name: author for name, author in clone.authors(repository).items() if email and author != email},
    )
    return team, damaged


def _runs(folder: Path) -> tuple[tuple[PipelineRun, ...], list[int]]:
    store = Runs(folder)
    found = {number: store.readable(number) for number in store.numbers()}
    read_runs = tuple(_run(run, store.folder_of(run.number)) for run in found.values() if run)
    return read_runs, [number for number, run in found.items() if run is None]


def _run(run: Run, folder: Path) -> PipelineRun:
    jobs = [job for stage in run.stages for job in stage.jobs]
    issues = [issue.text for job in jobs for part in (job, *job.steps) for issue in part.issues]
    return PipelineRun(
        number=run.number,
        pipeline=run.pipeline,
        branch=run.branch,
        commit=run.commit,
        reason=run.reason,
        state=run.state,
        result=run.result,
        issues=(*filter(None, [run.problem]), *issues),
        log_end=next((_end_of(folder / step.log) for job in jobs for step in job.steps if step.result == "failed"), ""),
        tags=frozenset(run.tags),
        deploys=bool(run.environments),
        approved_by=next((job.approved_by for job in jobs if job.approved_by), ""),
    )


def _end_of(log: Path) -> str:
    """Return the end of a step's log; empty if it can't be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_END))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _requests(folder: Path) -> tuple[tuple[Request, ...], list[int]]:
    found, damaged = [], []
    numbers = (int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit()) if folder.is_dir() else ()
    for number in sorted(numbers):
        try:
            found.append(_request(PullRequest.model_validate_json((folder / f"{number}.json").read_bytes())))
        except ValueError:  # pydantic's error is one
            damaged.append(number)
    return tuple(found), damaged


def _request(request: PullRequest) -> Request:
    return Request(
        number=request.id,
        source=request.source,
        target=request.target,
        author=request.author,
        status=request.status,
        completed_by=request.completed_by,
        merge_commit=request.merge_commit,
        description=request.description,
    )


def _sentence(what: str, numbers: list[int], folder: Path) -> str:
    return f"the record of {what} {', '.join(map(str, numbers))} in {folder} is damaged: restore it, or remove it"
