"""The team's repository on this machine: its creation, its rules, and the pipelines that a push starts."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from azure_devops_local import host
from azure_devops_local.language import triggers
from azure_devops_local.language.documents import Commit
from azure_devops_local.run_store import Run
from azure_devops_local.server import changes, hooks, run_queue
from kit_common import git
from kit_common.errors import UserError
from kit_common.files import write_whole

_NOTHING = "0" * 40
# In the repository's own configuration, which overrides that of the user who pushes.
_SETTINGS = {
    "core.hooksPath": "hooks",
    "receive.advertisePushOptions": "true",  # for a user's push.pushOption
    "receive.autogc": "false",  # keeps the commits of runs after a forced push
    "receive.denyDeletes": "false",
    "receive.denyNonFastForwards": "false",
    "receive.maxInputSize": "0",
    "receive.shallowUpdate": "true",  # for a clone made with --depth
}


class Rules(BaseModel):
    """The options of the command `start`, in `settings.json`."""

    approvals: bool = True
    """Whether a deployment job waits for an approval."""


def folder() -> Path:
    """Return the folder of the team's Azure DevOps."""
    return host.current().home


def repository() -> Path:
    """Return the team's repository, which must exist."""
    path = folder() / "repository.git"
    if not path.is_dir():
        raise UserError(f"There is no team repository yet: run `{host.current().advice} start` in your clone.")
    return path


def rules() -> Rules:
    """Return the rules in force."""
    path = folder() / "settings.json"
    return Rules.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else Rules()


def person(place: Path, name: str) -> str:
    """Return the name of the user: the one that is given, or else Git's `user.name`."""
    with suppress(UserError):
        name = name.strip() or git.ask(place, "config", "user.name")
    if not name:
        raise UserError("Your name is not known: add `--as NAME`, or run `git config user.name NAME` once.")
    return name


def start(place: Path, approvals: bool = True, direct_push: bool = False) -> bool:
    """Make or repair the team's repository, with the checkout around `place` as a clone; return whether it is new.

    Raises:
        UserError: there is no checkout or no commit, or the remote's name is already used for another address.
    """
    checkout, remote = _checkout(place), host.current().name
    target = folder() / "repository.git"
    remotes = git.ask(checkout, "remote").splitlines()
    url = git.ask(checkout, "remote", "get-url", remote) if remote in remotes else ""
    if url and url != str(target):
        raise UserError(
            f"This clone has a remote `{remote}` already, which leads to {url}: "
            f"rename it with `git remote rename {remote} other`, then start again."
        )
    new = not target.is_dir()
    if new:
        _make(checkout, target)
    _set_up(target, direct_push)
    write_whole(folder() / "settings.json", Rules(approvals=approvals).model_dump_json(indent=1))
    if not url:
        git.ask(checkout, "remote", "add", remote, str(target))
    git.ask(checkout, "fetch", "--quiet", remote)
    return new


def _checkout(place: Path) -> Path:
    top = git.top_level(place)
    if top is None:
        raise UserError(f"{place} is not a clone of the team's repository: go into yours, then start.")
    try:
        git.ask(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except UserError as error:
        raise UserError(f"{top} has no commit yet: commit something, then start.") from error
    return top


def _make(checkout: Path, target: Path) -> None:
    partial = target.with_name("repository.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names = f"--object-format={git.ask(checkout, 'rev-parse', '--show-object-format')}"
    git.ask(partial, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", names)
    _configure(partial)
    git.ask(checkout, "push", "--quiet", "--no-follow-tags", str(partial), "HEAD:refs/heads/main")
    for branch in host.current().policies.keys() - {"main"}:
        git.ask(partial, "branch", branch, "main")
    partial.rename(target)


def _configure(repository: Path) -> None:
    for key, value in _SETTINGS.items():
        git.ask(repository, "config", "--replace-all", key, value)


def _set_up(target: Path, direct_push: bool) -> None:
    _configure(target)
    program = host.current()
    key = f"{program.name}.directPush"
    if direct_push:
        git.ask(target, "config", key, "true")
    elif f"{key}=true".lower() in git.ask(target, "config", "--local", "--list").splitlines():
        git.ask(target, "config", "--unset-all", key)
    hooks.install(target)


def received(updates: Iterable[str], requested_for: str = "") -> list[str]:
    """Start the pipelines that a push triggers, and return a sentence on each pipeline.

    Args:
        updates: the lines `old new ref` of a `post-receive` hook.
        requested_for: the person of the runs; by default the author of the pushed commit.
    """
    messages = []
    for update in updates:
        old, new, ref = update.split()
        name = ref.removeprefix("refs/heads/")
        if not new.strip("0"):
            messages.append(f"{name} was deleted: nothing starts.")
        elif ref.startswith(("refs/heads/", "refs/tags/")):
            messages += _start_runs(old, new, name, ref, requested_for)
        else:
            messages.append(f"{ref} is neither a branch nor a tag: nothing starts.")
    run_queue.ensure_working()
    return messages


def _start_runs(old: str, new: str, name: str, ref: str, requested_for: str) -> list[str]:
    place = repository()
    try:
        # A tag may be an object of its own.
        commit = git.ask(place, "rev-parse", "--verify", "--quiet", f"{new}^{{commit}}")
    except UserError:
        return [f"{ref} is not a commit: nothing starts."]
    author = git.ask(place, "rev-list", "-1", "--no-commit-header", "--format=%an", commit)
    pushed = changes.pushed_messages(place, old, commit, ref)
    push = triggers.Push(ref, changes.changed_files(place, old, commit, ref), "\n\n".join(pushed))
    messages = []
    for pipeline, verdict in triggers.decide(Commit(place, commit), push).items():
        run = Run(
            pipeline=pipeline,
            branch=name,
            commit=commit,
            message=pushed[0].partition("\n")[0],
            reason="batchedCI" if verdict.batch else "individualCI",
            requested_for=requested_for or author,
        )
        if verdict.broken:
            run.state, run.result, run.problem, run.finished = "completed", "failed", verdict.rule, run.created
            messages.append(f"{pipeline} can't be run ({run_queue.add(run).title}): {verdict.rule}")
        elif verdict.triggered:
            run = run_queue.add(run)
            messages.append(f"{pipeline} starts ({run.title}): {verdict.rule}.")
        else:
            messages.append(f"{pipeline} does not start: {verdict.rule}.")
    return messages or [f"There are no pipelines on {name}: nothing starts."]
