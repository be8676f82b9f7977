"""A criterion of the course, and what was found about it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kit_common.errors import UserError
from workshop.course.facts import Facts, Team, Unseen

_DIGEST = re.compile(r"-[0-9a-f]{8}")
State = Literal["met", "not yet", "can't tell"]


@dataclass(frozen=True)
class Finding:
    """The state of a criterion."""

    state: State
    sentence: str
    """What was looked at, what was found, and the next command."""


def met(sentence: str) -> Finding:
    """Return the finding that a criterion is met."""
    return Finding("met", sentence)


def not_yet(sentence: str) -> Finding:
    """Return the finding that a criterion is not met yet."""
    return Finding("not yet", sentence)


class NotYet(UserError):  # noqa: N818  # not an error: a state of a criterion
    """What a criterion builds on is missing; the text is the sentence."""


@dataclass(frozen=True)
class Criterion:
    """What a participant has achieved when the function of the facts finds it met."""

    id: str
    title: str
    """The sentence that the page prints."""
    find: Callable[[Facts], Finding]
    why: str
    """A short explanation, printed once it is met."""
    hints: tuple[str, str, str]
    """From a nudge to the solution."""
    records: tuple[str, ...] = ()
    """The kinds of record that decide: while one of them is damaged, "not yet" can't be told."""
    optional: bool = False

    def judge(self, facts: Facts) -> Finding:
        """Return the state; "can't tell" if something that decides could not be looked at."""
        try:
            found = self.find(facts)
        except NotYet as reason:
            found = not_yet(str(reason))
        except Unseen as reason:
            return Finding("can't tell", str(reason))
        damage = [facts.damaged[kind] for kind in self.records if kind in facts.damaged]
        if found.state == "not yet" and damage:
            return Finding("can't tell", f"{found.sentence.rstrip('.')}; but {'; '.join(damage)}.")
        return found


def a_team(facts: Facts) -> Team:
    """Return the team's repository; if it is missing, the criterion is not met.

    Raises:
        NotYet: it does not exist.
    """
    if facts.team is None or not facts.team.path:
        raise NotYet("The team's repository does not exist yet: run `workshop devops start`.")
    return facts.team


def a_branch(facts: Facts) -> str:
    """Return the participant's branch; without one, the criterion is not met.

    Raises:
        NotYet: there is none, or the team's repository, where it begins, does not exist.
    """
    if not facts.person.branch:
        a_team(facts)
        raise NotYet(
            "This clone has no branch dev-… of your own: run "
            f"`git switch --no-track -c {suggested_branch(facts)} workshop/integration`."
        )
    return facts.person.branch


def suggested_branch(facts: Facts) -> str:
    """Return a name for the participant's branch, from the user's first name in Git; dev-ana without one."""
    first = re.sub("[^a-z0-9]", "", next(iter(facts.clone.user_name.lower().split()), ""))
    return f"dev-{first or 'ana'}"


def written_otherwise(found: set[str], name: str) -> str:
    """Return the run name among these that comes from this name in other letters; empty if none does.

    The kit adds a digest to a run name that it must change, as to one with capital letters.
    """
    return next((each for each in sorted(found) if _DIGEST.fullmatch(each.removeprefix(name.lower()))), "")
