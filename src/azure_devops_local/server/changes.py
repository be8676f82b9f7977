"""What a push changed, asked of Git."""

from pathlib import Path

from kit_common import git
from kit_common.errors import UsageError, UserError


def changed_files(repository: Path, old: str, new: str, ref: str) -> list[str]:
    """Return the paths of the files that a push changed, from the root; bytes that are not UTF-8 as surrogates.

    `old` and `new` are what a hook is told: the commits of `ref` before and after, only zeros for none. An update
    changed what differs between the two, however the history went. A new branch changed what those of its commits
    changed that no other branch holds; the first branch of all changed every file. A deletion changed nothing.

    Raises:
        UserError: Git does not know the commits.
    """
    if not new.strip("0"):
        return []
    if old.strip("0"):
        said = _git(repository, "diff-tree", "-r", "--name-only", "--no-renames", "-z", "--end-of-options", old, new)
    elif set(_git(repository, "for-each-ref", "--format=%(refname)", "refs/heads").splitlines()) <= {ref}:
        said = _git(repository, "ls-tree", "-r", "--name-only", "--full-tree", "-z", "--end-of-options", new)
    else:
        # When a hook asks, the branch is there already, so it must not count as one that holds its commits. Of a
        # merge only what differs from both sides is its own doing (-c): the rest came with the commits themselves.
        not_others = ("--not", f"--exclude={ref}", "--glob=refs/heads/*", "--not")
        what = ("--format=", "--name-only", "--no-renames", "-c", "-z")
        said = _git(repository, "log", *what, *not_others, "--end-of-options", new)
    return sorted(set(said.split("\0")) - {""})


def head_message(repository: Path, commit: str) -> str:
    """Return the whole message of a commit.

    Raises:
        UserError: Git does not know the commit.
    """
    return _git(repository, "log", "-1", "--format=%B", "--encoding=UTF-8", "--end-of-options", commit).strip()


def top_level(folder: Path) -> Path:
    """Return the root of the checkout that the folder is in.

    Raises:
        UserError: it is in none, or Git refuses it.
    """
    top = git.top_level(folder)
    if top is None:
        raise UserError(f"{folder} is not in a Git checkout: go to the folder that you cloned, then try again.")
    return top


def check_branch(name: str) -> str:
    """Return the name of a branch, if Git allows a branch of that name.

    Raises:
        UsageError: it does not.
    """
    allowed = git.run(Path.cwd(), "check-ref-format", "--branch", name)
    # Git would also resolve a name such as @{-1}, and answer with the branch that it stands for.
    if allowed.returncode or allowed.stdout.decode("utf-8", "surrogateescape").removesuffix("\n") != name:
        raise UsageError(f"{name!r} is no name that Git allows for a branch: correct it.")
    return name


def _git(repository: Path, *arguments: str) -> str:
    done = git.run(repository, *arguments)
    if done.returncode:
        raise UserError(
            f"Git could not say what a push to {repository} changed ({git.reason(done)}): check the repository."
        )
    return done.stdout.decode("utf-8", "surrogateescape")
