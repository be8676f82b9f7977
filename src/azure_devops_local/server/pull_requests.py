"""Pull requests: merges that are tested and reviewed before a branch moves."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock

from azure_devops_local import host
from azure_devops_local.host import Policy
from azure_devops_local.language import triggers
from azure_devops_local.language.documents import Commit, by_name
from azure_devops_local.run_store import Run, Runs, now, read_record
from azure_devops_local.server import merges, repository, run_queue
from azure_devops_local.server.pull_request_record import PullRequest
from kit_common import git
from kit_common.errors import UserError
from kit_common.files import write_whole

_PAUSE = 0.5


@dataclass(frozen=True)
class Validation:
    """The state of the test of a merge."""

    state: Literal["not needed", "waiting", "succeeded", "failed"]
    merge: str
    """The merge commit."""
    old: str
    """The target's commit before the merge."""
    run: int = 0


def every() -> list[PullRequest]:
    """Return the pull requests with a readable record, oldest first."""
    found = []
    for number in numbers():
        with suppress(UserError):  # a damaged record must not block the others
            found.append(load(number))
    return found


def load(number: int) -> PullRequest:
    """Return a pull request.

    Raises:
        UserError: no pull request has that number, or its record is damaged.
    """
    path = _folder() / f"{number}.json"
    if not path.is_file():
        raise UserError(f"There is no pull request {number}: `{host.current().advice} pr list` lists them.")
    return read_record(path, PullRequest)


def create(source: str, target: str, title: str, description: str, author: str) -> tuple[PullRequest, bool]:
    """Return a new pull request, or the one that is open between these branches, and whether it is new.

    An open one gets the description, unless that is empty.

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
    """Return the state of the test of the merge; a new test is started if one of the branches has moved.

    Raises:
        UserError: the pull request is not active, or the branches can't be merged.
    """
    with _active(number) as request:
        found = _validate(request)
    run_queue.ensure_working()
    return found


def wait_for_validation(number: int, show: Callable[[Run], None] = lambda _: None) -> None:
    """Wait until the test of the merge has ended, or is not needed; meanwhile `show` gets its run again and again."""
    while (found := validation(number)).state == "waiting":
        show(Runs().load(found.run))
        threading.Event().wait(_PAUSE)


def source_moved(branches: Iterable[str]) -> list[str]:
    """Test the merges of the pull requests from these branches after a push; return a sentence on each."""
    messages = []
    for request in every():
        if request.status == "active" and request.source in branches:
            try:
                outcome = f"its test: {validation(request.id).state}."
            except UserError as error:
                outcome = str(error)
            messages.append(f"The {request.name} contains this push; {outcome}")
    return messages


def complete(number: int, completed_by: str, one_person: bool = False) -> tuple[PullRequest, list[str]]:
    """Merge, start the pipelines that the merge triggers, and return a sentence on each pipeline.

    Args:
        number: of the pull request.
        completed_by: the person, who thereby approves it.
        one_person: accept the author as this person, also where the policy requires another one.

    Raises:
        UserError: a policy is not fulfilled, or the target branch has moved meanwhile.
    """
    with _active(number) as request:
        _require_reviewer(request, completed_by, one_person)
        merged = _merged_before(request)
        if merged is None:
            merged = _validate(request)
            _save(request)
            _require_success(request, merged)
            _move(request, merged)
        messages = repository.received([f"{merged.old} {merged.merge} refs/heads/{request.target}"], completed_by)
        request.status, request.completed_by, request.merge_commit = "completed", completed_by, merged.merge
    return request, messages + source_moved([request.target])


def abandon(number: int) -> PullRequest:
    """Close an active pull request without a merge."""
    with _active(number) as request:
        request.status = "abandoned"
    return request


def describe(number: int, description: str) -> PullRequest:
    """Change the description of an active pull request."""
    with _active(number) as request:
        request.description = description
    return request


@contextmanager
def _active(number: int) -> Iterator[PullRequest]:
    """Load a pull request, which must be active, and store it at the end of the block."""
    with _locked():
        request = load(number)
        if request.status != "active":
            raise UserError(f"The {request.name} is {request.status} already: nothing was changed.")
        yield request
        _save(request)


@contextmanager
def _locked() -> Iterator[None]:
    repository.repository()  # raises an error before the first `start`
    _folder().mkdir(exist_ok=True)
    with FileLock(_folder() / ".lock"):
        yield


def numbers() -> list[int]:
    """Return the numbers of all pull requests, also of those with a damaged record."""
    return sorted(int(path.stem) for path in _folder().glob("*.json") if path.stem.isdecimal())


def _folder() -> Path:
    return repository.folder() / "pull_requests"


def _save(request: PullRequest) -> None:
    write_whole(_folder() / f"{request.id}.json", request.model_dump_json(indent=1))


def _require_reviewer(request: PullRequest, name: str, one_person: bool) -> None:
    is_author = name.strip().casefold() == request.author.strip().casefold()
    if _policy(request).reviewers and is_author and not one_person:
        raise UserError(
            f"{request.target} needs another person than the author to complete a pull request, and {name} is the "
            "author: let another person do it (`--as NAME`), or act as both with `--one-person`."
        )


def _policy(request: PullRequest) -> Policy:
    return host.current().policies.get(request.target, Policy())


def _require_success(request: PullRequest, found: Validation) -> None:
    if found.state == "waiting":
        raise UserError(
            f"The {request.name} is still being tested, by run {found.run}: "
            f"`{host.current().advice} pr complete {request.id} --wait` waits for it."
        )
    if found.state == "failed":
        raise UserError(
            f"The test of {request.name} failed in run {found.run}: "
            f"push a fix to {request.source}, or try again with `{host.current().advice} rerun {found.run}`."
        )


def _move(request: PullRequest, merged: Validation) -> None:
    try:
        git.ask(repository.repository(), "update-ref", f"refs/heads/{request.target}", merged.merge, merged.old)
    except UserError as error:
        raise UserError(
            f"{request.target} has just been changed by another push or merge: complete the {request.name} again."
        ) from error


def _merged_before(request: PullRequest) -> Validation | None:
    """Return the merge of a process that was killed between moving the branch and recording it."""
    tip, merge = merges.tip(request.target), merges.commit_at(request.merge_ref)
    if merge is None or tip != merge:
        return None
    return Validation("succeeded", merge, git.ask(repository.repository(), "rev-parse", f"{merge}^1"))


def _validate(request: PullRequest) -> Validation:
    """Make the merge commit, and start its test if the target's policy requires one."""
    merge, old = merges.merge(request.merge_ref, request.source, request.target, request.author, _message(request))
    build = _file_of(_policy(request).build, merge)
    if not build or not _is_concerned(build, merge, old):
        request.validation_run = 0
        return Validation("not needed", merge, old)
    run = _run_on_the_same_files(build, merge) or run_queue.add(
        Run(
            pipeline=build,
            branch=request.merge_ref,
            pull_request=(request.source, request.target),
            commit=merge,
            message=_message(request),
            reason="pullRequest",
            requested_for=request.author,
        )
    )
    request.validation_run = run.number
    if run.state != "completed":
        return Validation("waiting", merge, old, run.number)
    return Validation("succeeded" if run.result == "succeeded" else "failed", merge, old, run.number)


def _file_of(build: str, merge: str) -> str:
    """Return the name of a pipeline's file in the merge, which may end in .yaml; empty if it is missing."""
    paths = map(PurePosixPath, Commit(repository.repository(), merge).pipelines())
    return next((path.name for path in paths if path.with_suffix(".yml").name == build), "")


def _is_concerned(build: str, merge: str, old: str) -> bool:
    files = Commit(repository.repository(), merge)
    path = by_name(files)[build]
    changed = git.ask(files.repository, "diff", "--name-only", "--no-renames", "-z", f"{old}...{merge}^2", "--")
    return triggers.concerned(files, path, [each for each in changed.split("\0") if each])


def _run_on_the_same_files(build: str, merge: str) -> Run | None:
    """Return the newest run on a commit with the files of the merge; a run that succeeded comes first."""
    runs = [run for run in reversed(Runs().all()) if run.pipeline == build]
    names = "\n".join(f"{commit}^{{tree}}" for commit in (merge, *(run.commit for run in runs)))
    trees = git.ask(repository.repository(), "cat-file", "--batch-check=%(objectname)", given=names).splitlines()
    same = [run for run, tree in zip(runs, trees[1:], strict=True) if tree == trees[0] and run.result != "canceled"]
    return next((run for run in same if run.result == "succeeded"), same[0] if same else None)


def _message(request: PullRequest) -> str:
    return f"Merged PR {request.id}: {request.title}"
