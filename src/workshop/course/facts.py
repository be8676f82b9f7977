"""What the criteria judge: plain records of the clone, the team's repository, the home and the registry.

Readers fill them in; the criteria are functions of these records only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from kit_common.errors import UserError

NOTEBOOKS = "src/workshop/notebooks/"
PREPARATION, TRAINING, EVALUATION, SCORING = (
    f"part_1_{name}" for name in ("1_data_prep", "2_training", "3_evaluating", "4_scoring")
)
NEW_TRAINING = "part_4_new_training_code"
MAIN, INTEGRATION = "main", "integration"
NOTHING: Mapping[str, Any] = MappingProxyType({})

Record = TypeVar("Record")


class Unseen(UserError):  # noqa: N818  # not an error: a state of the facts
    """Something that could not be looked at; the text is the reason, and what to do."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook."""

    source: str
    kind: str = "code"
    tags: frozenset[str] = frozenset()
    heading: str = ""
    """The nearest Markdown heading above."""
    has_outputs: bool = False


Notebook = tuple[Cell, ...] | None
"""The cells; None for a file that is not a notebook, such as one with conflict markers."""


@dataclass(frozen=True)
class Change:
    """A commit that the participants' branches have beyond the code that the team began with."""

    commit: str
    files: frozenset[str]
    local: frozenset[str] = frozenset()
    """The branches of this clone that contain it."""
    pushed: frozenset[str] = frozenset()
    """The branches of the team's repository that contain it."""


@dataclass(frozen=True)
class Clone:
    """The clone around the current folder."""

    path: str
    user_name: str = ""
    user_email: str = ""
    filter_set: bool = False
    filter_program: str = ""
    """The filter's program if it is missing; empty if it is there."""
    current: str = ""
    """The branch that is checked out; empty for a detached HEAD."""
    branches: frozenset[str] = frozenset()
    remote: str = ""
    """The address of the remote `workshop`."""
    changes: tuple[Change, ...] = ()
    """Oldest first."""
    outdated: frozenset[str] = frozenset()
    """The branches that do not begin at the team's `integration`."""
    committed: Mapping[str, Mapping[str, Notebook]] = field(default_factory=lambda: NOTHING)
    """The notebooks at the tip of each branch of the participant."""
    working: Mapping[str, Notebook] = field(default_factory=lambda: NOTHING)
    """The notebooks in the folder."""
    modified: frozenset[str] = frozenset()
    """Files whose content differs from the commit that is checked out."""


@dataclass(frozen=True)
class PipelineRun:
    """A run of a pipeline."""

    number: int
    pipeline: str
    branch: str
    commit: str
    reason: str = "individualCI"
    state: str = "completed"
    result: str | None = "succeeded"
    issues: tuple[str, ...] = ()
    log_end: str = ""
    """The last lines of the log of the step that failed."""
    tags: frozenset[str] = frozenset()
    deploys: bool = False
    """Whether it has a deployment job."""
    approved_by: str = ""

    @property
    def by_hand(self) -> bool:
        """Whether a person started it."""
        return self.reason == "manual"

    @property
    def after_a_push(self) -> bool:
        """Whether a push started it."""
        return self.reason in {"individualCI", "batchedCI"}

    @property
    def reason_of_failure(self) -> str:
        """The issue that names the cause best, as part of a sentence."""
        telling = [issue for issue in self.issues if "part_1_" in issue] or list(self.issues)
        return telling[0].rstrip(".") if telling else "its log has the reason"

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.state == "completed" and self.result not in {None, "canceled"}


@dataclass(frozen=True)
class Request:
    """A pull request."""

    number: int
    source: str
    target: str
    author: str = ""
    status: str = "active"
    completed_by: str = ""
    merge_commit: str = ""
    description: str = ""


@dataclass(frozen=True)
class Team:
    """The team's Azure DevOps on this machine."""

    path: str
    branches: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The tip of each branch."""
    requests: tuple[Request, ...] = ()
    runs: tuple[PipelineRun, ...] = ()
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NOTHING)
    """The parents of each commit."""
    strangers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Branches whose newest commit has another author than this clone's user, and that author."""

    def contains(self, descendant: str, commit: str) -> bool:
        """Return whether `commit` is `descendant` or one of its ancestors."""
        return commit in ancestors(self.parents, descendant)


@dataclass(frozen=True)
class KitRun:
    """A run of `workshop run`."""

    run_id: str
    run_name: str
    status: str = "done"
    exit_code: int = 0
    target: str = "local"
    run_page: str = ""
    submitted_by: str = ""
    """The user's address, or the application id of the service principal, of a run in a workspace."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    notebooks: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The status of each notebook."""


@dataclass(frozen=True)
class Home:
    """The kit's home folder."""

    path: str
    tables: frozenset[str] = frozenset()
    """The names of the tables with a version, as in `development` and `prepared/dev-ana`."""
    runs: tuple[KitRun, ...] = ()
    unfinished: frozenset[str] = frozenset()
    """The run names of runs without a summary yet."""
    scored_by: frozenset[str] = frozenset()
    """The versions that made the newest predictions of each table."""


@dataclass(frozen=True)
class Version:
    """A version of the model."""

    number: str
    run_name: str = ""
    commit: str = ""
    archived: bool = False


@dataclass(frozen=True)
class Event:
    """An event of the model's history."""

    kind: str
    version: str
    champion: str | None = None
    run_name: str = ""
    commit: str = ""
    state: str = "done"


@dataclass(frozen=True)
class Registry:
    """The model's versions, its slots and its history."""

    production: str | None = None
    staging: str | None = None
    versions: tuple[Version, ...] = ()
    """Oldest first."""
    events: tuple[Event, ...] = ()
    """Oldest first."""


@dataclass(frozen=True)
class Person:
    """The participant."""

    branch: str = ""
    """The first branch of the participant; empty before there is one."""
    branches: frozenset[str] = frozenset()
    run_names: frozenset[str] = frozenset()

    @property
    def first_name(self) -> str:
        """The name within the branch."""
        return self.branch.removeprefix("dev-")


@dataclass(frozen=True)
class Facts:
    """Everything that was looked at; a part that could not be is the reason why."""

    person_or_reason: Person | Unseen = field(default_factory=Person)
    clone_or_reason: Clone | Unseen = field(default_factory=lambda: Clone("."))
    team_or_reason: Team | Unseen | None = None
    """None before `workshop devops start`."""
    home_or_reason: Home | Unseen = field(default_factory=lambda: Home(".workshop"))
    registry_or_reason: Registry | Unseen = field(default_factory=Registry)
    damaged: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """By kind of record (`runs`, `requests`, `kit runs`): which are damaged, and what to do."""

    @property
    def person(self) -> Person:
        """The participant; raises Unseen."""
        return _seen(self.person_or_reason)

    @property
    def clone(self) -> Clone:
        """The clone; raises Unseen."""
        return _seen(self.clone_or_reason)

    @property
    def team(self) -> Team | None:
        """The team's repository; raises Unseen."""
        return _seen(self.team_or_reason)

    @property
    def home(self) -> Home:
        """The home; raises Unseen."""
        return _seen(self.home_or_reason)

    @property
    def registry(self) -> Registry:
        """The registry; raises Unseen."""
        return _seen(self.registry_or_reason)


def ancestors(parents: Mapping[str, tuple[str, ...]], *commits: str) -> set[str]:
    """Return these commits and all that they descend from."""
    found: set[str] = set()
    left = [commit for commit in commits if commit]
    while left:
        commit = left.pop()
        if commit not in found:
            found.add(commit)
            left += parents.get(commit, ())
    return found


def _seen(record: Record | Unseen) -> Record:
    if isinstance(record, Unseen):
        raise record
    return record
