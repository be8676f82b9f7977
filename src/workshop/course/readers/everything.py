"""All facts, each part read by itself: what can't be looked at is the reason why, and the rest is there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from kit_common.errors import UserError
from workshop.core.errors import explain_os_error
from workshop.core.parameters import safe_run_name
from workshop.core.settings import current_settings
from workshop.course.facts import INTEGRATION, MAIN, Clone, Facts, Person, Team, Unseen
from workshop.course.readers import clone, home, registry, team

Found = TypeVar("Found")
_SHARED = frozenset({MAIN, INTEGRATION})


def read(folder: Path, chosen: str = "") -> Facts:
    """Return the facts of a participant.

    Args:
        folder: a folder in the clone.
        chosen: the participant, as `dev-ana` or `ana`; empty for the one whose branch is checked out.
    """
    settings = _or_reason(current_settings)
    if isinstance(settings, Unseen):
        return Facts(settings, settings, settings, settings, settings)
    place = _or_reason(lambda: clone.top(folder))
    at = _or_reason(lambda: clone.tips(_seen(place)))
    email = "" if isinstance(place, Unseen) or chosen else clone.email(place)
    the_team = _or_reason(lambda: team.read(settings.home / "devops", email))
    found_team, damaged = (the_team, {}) if isinstance(the_team, Unseen) else the_team
    known = None if isinstance(found_team, Unseen) else found_team
    who = _or_reason(
        lambda: (
            named(chosen, {} if isinstance(at, Unseen) else at, known)
            if chosen
            else present(_seen(place), _seen(at), known)
        )
    )
    the_home = _or_reason(lambda: home.read(settings))
    found_home, damaged_runs = (the_home, {}) if isinstance(the_home, Unseen) else the_home
    return Facts(
        person_or_reason=who,
        clone_or_reason=_or_reason(lambda: _clone(_seen(place), _seen(at), who, known, email)),
        team_or_reason=found_team,
        home_or_reason=found_home,
        registry_or_reason=_or_reason(lambda: registry.read(settings)),
        damaged={**damaged, **damaged_runs},
    )


def present(place: Path, tips: Mapping[str, str], known: Team | None) -> Person:
    """Return the participant of a clone: the owner of the current branch, or else of its only branch `dev-…`.

    Raises:
        Unseen: branches of several participants are in this clone.
    """
    name = clone.current(place)
    if not name or name in _SHARED:
        everywhere = _branches(tips, known)
        owners = {_first(each, everywhere) for each in tips if each.startswith("dev-")}
        if len(owners) > 1:
            raise Unseen(f"This clone has the branches {', '.join(sorted(owners))}: choose one with `--as BRANCH`.")
        name = next(iter(owners), "")
    return named(name, tips, known) if name else Person()


def named(name: str, tips: Mapping[str, str], known: Team | None) -> Person:
    """Return the participant with that branch, or with that name in it, as `ana` for `dev-ana`.

    A branch `dev-ana-…` that only the team has, with another author than this clone's user, is another person's.
    """
    everywhere = _branches(tips, known)
    first = _first(name if name.startswith("dev-") or name in everywhere else f"dev-{name}", everywhere)
    strangers = known.strangers if known else {}
    own = {each for each in everywhere if each == first or each.startswith(f"{first}-")}
    own = {each for each in own if each in tips or each == first or each not in strangers}
    return Person(first, frozenset(own), frozenset(map(safe_run_name, own | {first})))


def _branches(tips: Mapping[str, str], known: Team | None) -> set[str]:
    local = {name for name in tips if not name.startswith("remotes/")}
    return (local | set(known.branches if known else ())) - _SHARED


def _first(name: str, branches: set[str]) -> str:
    """Return the shortest branch that this one continues, as `dev-ana` for `dev-ana-2`, or the branch itself."""
    longer = [each for each in branches if name.startswith(f"{each}-") and each.startswith("dev-")]
    return min(longer, key=len, default=name)


def _clone(place: Path, tips: dict[str, str], who: Person | Unseen, known: Team | None, email: str) -> Clone:
    parents = {**(known.parents if known else {}), **clone.graph(place)}
    return clone.read(place, tips, parents, Person() if isinstance(who, Unseen) else who, known, email)


def _seen(found: Found | Unseen) -> Found:
    if isinstance(found, Unseen):
        raise found
    return found


def _or_reason(read_it: Callable[[], Found]) -> Found | Unseen:
    try:
        return read_it()
    except Unseen as reason:
        return reason
    except UserError as error:
        return Unseen(str(error))
    except OSError as error:
        return Unseen(str(explain_os_error(error)))
