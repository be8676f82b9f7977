"""The checkout, its branches, and the files that a push changed."""

from pathlib import Path

from kit_common import git
from kit_common.errors import UsageError, UserError


def changed_files(repository: Path, old: str, new: str, ref: str) -> list[str]:
    """Return the paths of the files that a push changed, from the root; bytes that are not UTF-8 as surrogates.

    For an update, these are the files that differ between the two commits, whatever the history between them. For a new
    branch, they are the files that its commits changed, without the commits of other branches; for the first branch,
    every file.

    Args:
        repository: the team's repository, or a clone.
        old: the commit of `ref` before the push; only zeros for a new branch.
        new: the commit after it; only zeros for a deletion.
        ref: the full name of the branch or tag.
    """
    if not new.strip("0"):
        return []
    if old.strip("0"):
        paths = _git(repository, "diff-tree", "-r", "--name-only", "--no-renames", "-z", "--end-of-options", old, new)
    elif set(_git(repository, "for-each-ref", "--format=%(refname)", "refs/heads").splitlines()) <= {ref}:
        paths = _git(repository, "ls-tree", "-r", "--name-only", "--full-tree", "-z", "--end-of-options", new)
    else:
        # When a hook runs, the branch exists already, so its own commits must not count as commits of another branch.
        # A merge itself changed only what differs from both sides (-c): the rest belongs to the merged commits.
        not_others = ("--not", f"--exclude={ref}", "--glob=refs/heads/*", "--not")
        what = ("--format=", "--name-only", "--no-renames", "-c", "-z")
        paths = _git(repository, "log", *what, *not_others, "--end-of-options", new)
    return sorted(set(paths.split("\0")) - {""})


def head_message(repository: Path, commit: str) -> str:
    """Return the whole message of a commit."""
    return _git(repository, "log", "-1", "--format=%B", "--encoding=UTF-8", "--end-of-options", commit).strip()


def pushed_messages(repository: Path, old: str, new: str, ref: str) -> list[str]:
    """Return the whole messages of a push's commits, newest first: of `new`, and of those that no other branch has.

    Args:
        repository: the team's repository, or a clone.
        old: the commit of `ref` before the push; only zeros for a new branch.
        new: the commit after it.
        ref: the full name of the branch or tag.
    """
    others = ("--not", f"--exclude={ref}", "--glob=refs/heads/*", "--not")
    before = [f"^{old}"] if old.strip("0") else []
    found = _git(repository, "log", "-z", "--format=%B", "--encoding=UTF-8", *others, "--end-of-options", new, *before)
    own = [message.strip() for message in found.removesuffix("\0").split("\0")]
    return own if found else [head_message(repository, new)]


def top_level(folder: Path) -> Path:
    """Return the root of the checkout around the folder."""
    top = git.top_level(folder)
    if top is None:
        raise UserError(f"{folder} is not in a Git checkout: go to the folder that you cloned, then try again.")
    return top


def check_branch(name: str) -> str:
    """Return the name of a branch.

    Raises:
        UsageError: Git does not allow the name.
    """
    allowed = git.run(Path.cwd(), "check-ref-format", "--branch", name)
    # Git would resolve a name such as @{-1}, and print the branch that it stands for.
    if allowed.returncode or allowed.stdout.decode("utf-8", "surrogateescape").removesuffix("\n") != name:
        raise UsageError(f"{name!r} is not a valid branch name for Git: correct it.")
    return name


def _git(repository: Path, *arguments: str) -> str:
    done = git.run(repository, *arguments)
    if done.returncode:
        raise UserError(f"Git can't read the commits of {repository} ({git.reason(done)}): check the repository.")
    return done.stdout.decode("utf-8", "surrogateescape")
