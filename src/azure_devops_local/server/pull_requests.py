"""Pull requests: a merge that is tried, tested and looked at before it happens."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock

from azure_devops_local import host
from azure_devops_local.language import triggers
from azure_devops_local.language.documents import Commit, by_name
from azure_devops_local.run_store import Run, Runs, now, read_record
from azure_devops_local.server import merges, repository, run_queue
from azure_devops_local.server.policies import Policy, PullRequest
from kit_common import git
from kit_common.errors import UserError
from kit_common.files import write_whole

_PAUSE = 0.5


@dataclass(frozen=True)
class Validation:
    """How far the test of the merge is."""

    state: Literal["not needed", "waiting", "succeeded", "failed"]
    merge: str
    """The merge commit."""
    old: str
    """The target's commit that it starts from."""
    run: int = 0


def every() -> list[PullRequest]:
    """All of them whose record can be read, oldest first."""
    found = []
    for number in numbers():
        with suppress(UserError):  # a damaged one must not hold up all the others
            found.append(load(number))
    return found


def load(number: int) -> PullRequest:
    """One of them.

    Raises:
        UserError: there is none of that number, or its record is damaged.
    """
    path = _folder() / f"{number}.json"
    if not path.is_file():
        raise UserError(f"There is no pull request {number}: `{host.current().advice} pr list` lists them.")
    return read_record(path, PullRequest)


def create(source: str, target: str, title: str, description: str, author: str) -> tuple[PullRequest, bool]:
    """Open a pull request, or find the one that is open between these branches; whether it is new.

    One that is found gets the description, unless that is empty.

    Raises:
        UserError: a branch does not exist, there is nothing to merge, or the branches contradict each other.
    """
    with _locked():
        known = every()
        found = [each for each in known if (each.source, each.target, each.status) == (source, target, "active")]
        if found:
            request = found[0]
            request.description = description or request.description
        else:
            request = PullRequest(
                id=max(numbers(), default=0) + 1,
                source=source,
                target=target,
                title=" ".join(title.split()) or f"{source} into {target}",
                description=description,
                author=author,
                created=now(),
            )
        _validate(request)
        _save(request)
    run_queue.ensure_working()
    return request, not found


def validation(number: int) -> Validation:
    """Where the test of the merge stands; started anew where one of the branches has moved on.

    Raises:
        UserError: it is not active, or the branches can't be merged (any more).
    """
    with _active(number) as request:
        found = _validate(request)
    run_queue.ensure_working()
    return found


def wait_for_validation(number: int) -> None:
    """Wait until the merge has been tested, or nothing has to be.

    Raises:
        UserError: as `validation`.
    """
    while validation(number).state == "waiting":
        threading.Event().wait(_PAUSE)


def source_moved(branches: Iterable[str]) -> list[str]:
    """After a push: test the merges of the pull requests from these branches anew; a sentence on each."""
    said = []
    for request in every():
        if request.status == "active" and request.source in branches:
            try:
                state = validation(request.id)
                said.append(f"The {request.name} has this push too; its test: {state.state}.")
            except UserError as error:
                said.append(f"The {request.name} has this push too. {error}")
    return said


def complete(number: int, completed_by: str, one_person: bool = False) -> tuple[PullRequest, list[str]]:
    """Merge it and start what the merge starts; with a sentence on each pipeline.

    Args:
        number: which.
        completed_by: who does it, and so agrees to it.
        one_person: lets the author be that person where somebody else is asked for.

    Raises:
        UserError: a policy is not fulfilled, or somebody else was quicker.
    """
    with _active(number) as request:
        _ask_for_a_reviewer(request, completed_by, one_person)
        merged = _merged_already(request)
        if merged is None:
            merged = _validate(request)
            _save(request)
            _ask_for_success(request, merged)
            _move(request, merged)
        said = repository.received([f"{merged.old} {merged.merge} refs/heads/{request.target}"], completed_by)
        request.status, request.completed_by, request.merge_commit = "completed", completed_by, merged.merge
    return request, said + source_moved([request.target])


def abandon(number: int) -> PullRequest:
    """Close it without a merge.

    Raises:
        UserError: it is not active.
    """
    with _active(number) as request:
        request.status = "abandoned"
    return request


def describe(number: int, description: str) -> PullRequest:
    """Change its description.

    Raises:
        UserError: it is not active.
    """
    with _active(number) as request:
        request.description = description
    return request


@contextmanager
def _active(number: int) -> Iterator[PullRequest]:
    """Load an active pull request to change; it is stored at the end."""
    with _locked():
        request = load(number)
        if request.status != "active":
            raise UserError(f"The {request.name} is {request.status} already: nothing was changed.")
        yield request
        _save(request)


@contextmanager
def _locked() -> Iterator[None]:
    repository.repository()  # it says so where nothing has been started yet
    _folder().mkdir(exist_ok=True)
    with FileLock(_folder() / ".lock"):
        yield


def numbers() -> list[int]:
    """Return the numbers of all pull requests, also of those whose record is damaged."""
    return sorted(int(path.stem) for path in _folder().glob("*.json") if path.stem.isdecimal())


def _folder() -> Path:
    return repository.folder() / "pull_requests"


def _save(request: PullRequest) -> None:
    write_whole(_folder() / f"{request.id}.json", request.model_dump_json(indent=1))


def _ask_for_a_reviewer(request: PullRequest, name: str, one_person: bool) -> None:
    is_author = name.strip().casefold() == request.author.strip().casefold()
    if host.current().policies.get(request.target, Policy()).reviewers and is_author and not one_person:
        raise UserError(
            f"{request.target} wants somebody else than the author to complete a pull request, and {name} is the "
            "author: let another person do it (`--as NAME`), or say that one person plays both with `--one-person`."
        )


def _ask_for_success(request: PullRequest, found: Validation) -> None:
    if found.state == "waiting":
        raise UserError(
            f"The {request.name} is still being tested, by run {found.run}: "
            f"`{host.current().advice} pr complete {request.id} --wait` waits for it."
        )
    if found.state == "failed":
        raise UserError(
            f"The test of {request.name} failed in run {found.run}: "
            f"push what mends it to {request.source}, or try again with `{host.current().advice} rerun {found.run}`."
        )


def _move(request: PullRequest, merged: Validation) -> None:
    try:
        git.ask(repository.repository(), "update-ref", f"refs/heads/{request.target}", merged.merge, merged.old)
    except UserError as error:
        raise UserError(
            f"Somebody else has changed {request.target} at this moment: complete the {request.name} again."
        ) from error


def _merged_already(request: PullRequest) -> Validation | None:
    """Return the merge of a process that died between moving the branch and recording it."""
    tip, merge = merges.tip(request.target), merges.commit_at(request.merge_ref)
    if merge is None or tip != merge:
        return None
    return Validation("succeeded", merge, git.ask(repository.repository(), "rev-parse", f"{merge}^1"))


def _validate(request: PullRequest) -> Validation:
    """Try the merge, and see that it is tested if the target's policy asks for it."""
    merge, old = merges.merge(request.merge_ref, request.source, request.target, request.author, _message(request))
    build = _file_of(host.current().policies.get(request.target, Policy()).build, merge)
    if not build or not _is_concerned(build, merge, old):
        request.validation_run = 0
        return Validation("not needed", merge, old)
    run = _run_on_the_same_files(build, merge) or run_queue.add(_test_of(request, build, merge))
    request.validation_run = run.number
    if run.state != "completed":
        return Validation("waiting", merge, old, run.number)
    return Validation("succeeded" if run.result == "succeeded" else "failed", merge, old, run.number)


def _file_of(build: str, merge: str) -> str:
    """Return the name of a pipeline's file on the merge, where it may end in .yaml; empty if it is missing."""
    paths = map(PurePosixPath, Commit(repository.repository(), merge).pipelines())
    return next((path.name for path in paths if path.with_suffix(".yml").name == build), "")


def _is_concerned(build: str, merge: str, old: str) -> bool:
    files = Commit(repository.repository(), merge)
    path = by_name(files)[build]
    changed = git.ask(files.repository, "diff", "--name-only", "--no-renames", "-z", f"{old}...{merge}^2", "--")
    return triggers.concerned(files, path, [each for each in changed.split("\0") if each])


def _test_of(request: PullRequest, build: str, merge: str) -> Run:
    return Run(
        number=0,
        pipeline=build,
        branch=request.merge_ref,
        commit=merge,
        message=_message(request),
        reason="pullRequest",
        requested_for=request.author,
        created=now(),
    )


def _run_on_the_same_files(build: str, merge: str) -> Run | None:
    """Return the newest run on a commit with the files of the merge; one that succeeded comes first."""
    runs = [run for run in reversed(Runs().all()) if run.pipeline == build]
    asked = "\n".join(f"{commit}^{{tree}}" for commit in (merge, *(run.commit for run in runs)))
    trees = git.ask(repository.repository(), "cat-file", "--batch-check=%(objectname)", given=asked).splitlines()
    same = [run for run, tree in zip(runs, trees[1:], strict=True) if tree == trees[0] and run.result != "canceled"]
    return next((run for run in same if run.result == "succeeded"), same[0] if same else None)


def _message(request: PullRequest) -> str:
    return f"Merged PR {request.id}: {request.title}"
