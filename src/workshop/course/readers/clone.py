"""The facts of the clone around the current folder, from Git and its notebooks."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kit_common import git
from kit_common.errors import UserError
from workshop.course.facts import (
    EVALUATION,
    INTEGRATION,
    MAIN,
    NEW_TRAINING,
    NOTEBOOKS,
    PREPARATION,
    SCORING,
    TRAINING,
    Change,
    Clone,
    Notebook,
    Person,
    Team,
    Unseen,
    ancestors,
)
from workshop.course.readers import notebook

REMOTE = "workshop"
_FILTER = "filter.without-outputs.clean"
_NAMES = (PREPARATION, TRAINING, EVALUATION, SCORING, NEW_TRAINING)
_SECONDS = 10
Graph = Mapping[str, tuple[str, ...]]


def top(folder: Path) -> Path:
    """Return the root of the clone.

    Raises:
        Unseen: the folder is not in a clone of the workshop.
    """
    try:
        found = git.top_level(folder)
    except UserError as error:
        raise Unseen(str(error)) from error
    if found is None:
        raise Unseen(f"{folder} is not in a Git repository: go into your clone of the workshop.")
    if not (found / NOTEBOOKS / f"{PREPARATION}.ipynb").is_file() and not _ask(found, "ls-files", NOTEBOOKS):
        raise Unseen(f"{found} is not a clone of the workshop, since {NOTEBOOKS} is missing: go into your clone.")
    return found


def tips(place: Path) -> dict[str, str]:
    """Return the commit of each branch, those of remotes as `remotes/NAME/BRANCH`."""
    listed = _ask(place, "for-each-ref", "--format=%(refname)%00%(objectname)", "refs/heads", "refs/remotes")
    pairs = (line.split("\0") for line in listed.splitlines())
    return {name.removeprefix("refs/").removeprefix("heads/"): commit for name, commit in pairs}


def graph(place: Path) -> dict[str, tuple[str, ...]]:
    """Return the parents of each commit of a repository."""
    lines = (line.split() for line in _ask(place, "rev-list", "--parents", "--all").splitlines())
    return {first: tuple(parents) for first, *parents in lines}


def authors(place: Path) -> dict[str, str]:
    """Return the e-mail address of the author of each branch's newest commit."""
    listed = _ask(place, "for-each-ref", "--format=%(refname:short)%00%(authoremail:trim)", "refs/heads")
    return dict(line.split("\0") for line in listed.splitlines())


def email(place: Path) -> str:
    """Return the e-mail address of this clone's user; empty if it is not set."""
    return os.environ.get("GIT_AUTHOR_EMAIL") or git.run(place, "config", "user.email").stdout.decode().strip()


def current(place: Path) -> str:
    """Return the branch that is checked out; empty for a detached HEAD."""
    return git.run(place, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode().strip()


def read(  # noqa: PLR0913, PLR0917  # the facts of others that they depend on
    place: Path, known: Mapping[str, str], parents: Graph, person: Person, team: Team | None, address: str
) -> Clone:
    """Return the facts of a clone.

    Args:
        place: its root.
        known: its branches, from `tips`.
        parents: the parents of its commits and of the team's.
        person: the participant.
        team: the team's repository, if it exists.
        address: the participant's e-mail address; empty if it is not known.

    Raises:
        Unseen: Git does not work there.
    """
    settings = _settings(place)
    program = settings.get(_FILTER, "")
    local = {name: tip for name, tip in known.items() if not name.startswith("remotes/")}
    pushed = dict(team.branches) if team else {}
    start = _start(team)
    return Clone(
        path=str(place),
        user_name=os.environ.get("GIT_AUTHOR_NAME") or settings.get("user.name", ""),
        user_email=os.environ.get("GIT_AUTHOR_EMAIL") or settings.get("user.email", ""),
        filter_set=bool(program),
        filter_program=_missing_program(program),
        current=current(place),
        branches=frozenset(local),
        remote=settings.get(f"remote.{REMOTE}.url", ""),
        changes=_changes(place, local, pushed, _not_own(known, parents, person, team), parents, team, address),
        outdated=frozenset(name for name, tip in local.items() if start and start not in ancestors(parents, tip)),
        committed={
            name: _committed(place, tip)
            for name, tip in {**pushed, **local}.items()
            if name in person.branches and (name in local or _has(place, tip))
        },
        working={name: _working(place / NOTEBOOKS / f"{name}.ipynb") for name in _NAMES},
        modified=_modified(place),
    )


def _settings(place: Path) -> dict[str, str]:
    entries = (entry.partition("\n") for entry in _ask(place, "config", "--list", "-z").split("\0"))
    return {key: value for key, _, value in entries if key}


def _missing_program(clean: str) -> str:
    """Return the program of the filter `if test -x PROGRAM; then …` if it does not exist; empty if it does."""
    try:
        words = shlex.split(clean.replace("%%", "%"))
    except ValueError:
        return clean
    program = words[3].removesuffix(";") if words[:3] == ["if", "test", "-x"] else ""
    return program if program and not os.access(program, os.X_OK) else ""


def _start(team: Team | None) -> str:
    """Return the commit that `integration` had before its first pull request; empty without a team."""
    if team is None or not team.path:
        return ""
    merged = [each.merge_commit for each in team.requests if each.target == INTEGRATION and each.merge_commit]
    before = [team.parents[commit][0] for commit in merged if team.parents.get(commit)]
    return next(iter(before), team.branches.get(INTEGRATION, ""))


def _not_own(known: Mapping[str, str], parents: Graph, person: Person, team: Team | None) -> set[str]:
    """Return the commits that are not the participant's: the beginning, and what others have merged."""
    if team is None or not team.path:
        shared = [tip for name, tip in known.items() if name.rpartition("/")[2] in {MAIN, INTEGRATION}]
        return ancestors(parents, *shared)
    done = [each for each in team.requests if each.target == INTEGRATION and parents.get(each.merge_commit)]
    before = next((parents[each.merge_commit][0] for each in done if each.source in person.branches), "")
    found = ancestors(parents, before or team.branches.get(INTEGRATION, ""), "" if before else team.branches[MAIN])
    for each in done:
        if each.source not in person.branches:
            found |= ancestors(parents, each.merge_commit) - ancestors(parents, parents[each.merge_commit][0])
    return found


def _changes(  # noqa: PLR0913, PLR0917  # two repositories
    place: Path,
    local: Mapping[str, str],
    pushed: Mapping[str, str],
    not_own: set[str],
    parents: Graph,
    known: Team | None,
    address: str,
) -> tuple[Change, ...]:
    """Return the commits beyond the beginning; one that only the team has must be of the author with that address."""
    here = {name: ancestors(parents, tip) - not_own for name, tip in local.items()}
    there = {name: ancestors(parents, tip) - not_own for name, tip in pushed.items()}
    ours, theirs = set().union(*here.values()), set().union(*there.values())
    found = _commits(place, ours, parents)
    if known is not None and known.path:
        of_others = _commits(Path(known.path), theirs - ours, parents)
        found |= {each: (author, files) for each, (author, files) in of_others.items() if address in {"", author}}
    return tuple(
        Change(
            commit,
            files,
            frozenset(name for name, commits in here.items() if commit in commits),
            frozenset(name for name, commits in there.items() if commit in commits),
        )
        for commit, (_, files) in found.items()
    )


def _commits(place: Path, commits: set[str], parents: Graph) -> dict[str, tuple[str, frozenset[str]]]:
    """Return author and files of each of these commits, oldest first; a merge changes no files of its own."""
    given = "\n".join(each for each in commits if len(parents.get(each, ())) <= 1)
    if not given:
        return {}
    options = ["--stdin", "--no-walk", "--reverse", "--name-only", "--no-renames", "--format=%x01%H%x00%ae"]
    blocks = (block.split("\n") for block in _ask(place, "log", *options, given=given).split("\x01")[1:])
    found = ((first.split("\0"), files) for first, *files in blocks)
    return {commit: (author, frozenset(filter(None, files))) for (commit, author), files in found}


def _modified(place: Path) -> frozenset[str]:
    """Return the notebooks that differ from the commit that is checked out, as `git diff` lists them.

    It compares by content, unlike `git status`, and writes what it has found into the index: here into a copy.
    """
    index = Path(_ask(place, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    with tempfile.TemporaryDirectory(prefix="workshop-check-") as folder:
        copy = Path(folder) / "index"
        if index.is_file():
            shutil.copyfile(index, copy)
        listed = _ask(place, "diff", "--name-only", "-z", "HEAD", "--", NOTEBOOKS, GIT_INDEX_FILE=str(copy))
    return frozenset(listed.split("\0")) - {""}


def _committed(place: Path, commit: str) -> dict[str, Notebook]:
    found = {}
    for name in _NAMES:
        shown = git.run(place, "cat-file", "blob", f"{commit}:{NOTEBOOKS}{name}.ipynb", timeout=_SECONDS)
        found[name] = notebook.read(shown.stdout) if shown.returncode == 0 else None
    return found


def _working(path: Path) -> Notebook:
    try:
        return notebook.read(path.read_bytes())
    except OSError:
        return None


def _has(place: Path, commit: str) -> bool:
    return git.run(place, "cat-file", "-e", commit, timeout=_SECONDS).returncode == 0


def _ask(place: Path, *arguments: str, given: str = "", **own: str) -> str:
    try:
        return git.ask(place, *arguments, given=given, **own)
    except UserError as error:
        raise Unseen(f"Git does not work in {place}: {error}") from error
