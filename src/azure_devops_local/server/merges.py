"""The merge of two branches of the team's repository: made aside, to be tested, before a branch moves to it."""

from azure_devops_local import host
from azure_devops_local.server import repository
from kit_common import git
from kit_common.errors import UserError

MERGE_TREE_SINCE = (2, 38)
"""The first Git that can merge without a work tree."""


def merge(ref: str, source: str, target: str, author: str, message: str) -> tuple[str, str]:
    """Return the merge commit of the two branches as they are now, kept under `ref`, and the target's commit.

    Raises:
        UserError: a branch is not there, there is nothing to merge, or the branches contradict each other.
    """
    place = repository.repository()
    old, new = tip(target), tip(source)
    if git.ask(place, "rev-list", "--count", f"{old}..{new}") == "0":
        raise UserError(f"There is nothing to merge: {target} has all that {source} has.")
    known = commit_at(ref)
    if known and git.ask(place, "rev-parse", f"{known}^1", f"{known}^2").split() == [old, new]:
        return known, old
    tree = _merged_tree(source, target, old, new)
    who = "".join(letter for letter in author if letter.isprintable() and letter not in "<>").strip(" .,;:'\"")
    person = {"NAME": who or "somebody", "EMAIL": f"{host.current().name}@localhost"}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
    made = git.ask(place, "commit-tree", tree, "-p", old, "-p", new, "-m", message, **identity)
    git.ask(place, "update-ref", ref, made)
    return made, old


def tip(branch: str) -> str:
    """Return the commit that a branch has.

    Raises:
        UserError: there is no such branch.
    """
    commit = commit_at(f"refs/heads/{branch}")
    if commit is None:
        raise UserError(f"There is no branch {branch} in the team's repository: push it, or mend its name.")
    return commit


def commit_at(ref: str) -> str | None:
    """Return the commit that a full ref names; nothing in the name has another meaning than itself."""
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
            f"merge {target} into {source} in your clone, settle the conflicts and push."
        ) from error
