"""Merge commits of the team's repository, made for the test before a branch moves to them."""

from azure_devops_local import host
from azure_devops_local.server import repository
from kit_common import git
from kit_common.errors import UserError

MERGE_TREE_SINCE = (2, 38)
"""The first Git that can merge without a work tree."""


def merge(ref: str, source: str, target: str, author: str, message: str) -> tuple[str, str]:
    """Return the merge commit of the two branches, kept under `ref`, and the target's commit.

    Raises:
        UserError: a branch is missing, there is nothing to merge, or the branches have conflicts.
    """
    place = repository.repository()
    old, new = tip(target), tip(source)
    if git.ask(place, "rev-list", "--count", f"{old}..{new}") == "0":
        raise UserError(f"There is nothing to merge: {target} has all commits of {source}.")
    known = commit_at(ref)
    if known and git.ask(place, "rev-parse", f"{known}^1", f"{known}^2").split() == [old, new]:
        return known, old
    tree = _merged_tree(source, target, old, new)
    name = "".join(letter for letter in author if letter.isprintable() and letter not in "<>").strip(" .,;:'\"")
    person = {"NAME": name or "unknown", "EMAIL": f"{host.current().name}@localhost"}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
    commit = git.ask(place, "commit-tree", tree, "-p", old, "-p", new, "-m", message, **identity)
    git.ask(place, "update-ref", ref, commit)
    return commit, old


def tip(branch: str) -> str:
    """Return the newest commit of a branch, which must exist."""
    commit = commit_at(f"refs/heads/{branch}")
    if commit is None:
        raise UserError(f"There is no branch {branch} in the team's repository: push it, or correct its name.")
    return commit


def commit_at(ref: str) -> str | None:
    """Return the commit of a full ref, whose name is taken literally; None if it is missing."""
    try:
        return git.ask(repository.repository(), "show-ref", "--verify", "--hash", ref)
    except UserError:
        return None


def _merged_tree(source: str, target: str, old: str, new: str) -> str:
    place = repository.repository()
    version, wanted = git.ask(place, "version").split()[2], ".".join(map(str, MERGE_TREE_SINCE))
    if tuple(int(part) for part in version.split(".")[:2]) < MERGE_TREE_SINCE:
        raise UserError(f"Pull requests need Git {wanted} or newer, and this is {version}: install a newer one.")
    try:
        return git.ask(place, "merge-tree", "--write-tree", old, new)
    except UserError as error:
        raise UserError(
            f"{source} and {target} change the same lines: "
            f"merge {target} into {source} in your clone, resolve the conflicts and push."
        ) from error
