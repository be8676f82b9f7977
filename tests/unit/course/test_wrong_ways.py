"""For each criterion: not yet on a fresh clone, met after the solution, and plausible wrong ways with their sentences.

`pytest -rP` prints the table.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.support.course import (
    CD,
    CI,
    CLEAN,
    NEW,
    SOLUTION,
    SUBMIT,
    UNIT_TEST,
    Action,
    World,
    act,
    notebook,
    solved,
)
from workshop.course import checking
from workshop.course.criterion import Criterion, Finding
from workshop.course.facts import (
    NEW_TRAINING,
    PREPARATION,
    TRAINING,
    Cell,
    Event,
    Facts,
    KitRun,
    Unseen,
    Version,
)

ALL = {each.id: (part, each) for part, criteria in enumerate(checking.PARTS) for each in criteria}
FEWEST_WAYS, FEWEST_IN_ALL = 3, 90


class Way(NamedTuple):
    """A plausible wrong way, and what the sentence must name."""

    criterion: str
    way: str
    facts: Callable[[], Facts]
    names: str


def after(part: int, *actions: Action, **fields: Any) -> Callable[[], Facts]:
    """Return the facts after the parts up to `part`, these actions, and these fields of the world."""

    def facts() -> Facts:
        world = act(solved(part), *actions)
        for name, value in fields.items():
            setattr(world, name, value(world) if callable(value) else value)
        return world.facts()

    return facts


def within(part: int, done: int, *actions: Action) -> Callable[[], Facts]:
    """Return the facts after the first actions of a part's solution, and these actions."""
    return lambda: act(solved(part, len(SOLUTION[part]) - done), *actions).facts()


def clone(facts: Callable[[], Facts], **fields: Any) -> Callable[[], Facts]:
    """Return the facts with these fields of the clone."""
    return lambda: replace(facts(), clone_or_reason=replace(facts().clone, **fields))


def registry(facts: Callable[[], Facts], **fields: Any) -> Callable[[], Facts]:
    """Return the facts with these fields of the registry; a function gets the registry."""

    def changed() -> Facts:
        found = facts().registry
        values = {name: value(found) if callable(value) else value for name, value in fields.items()}
        return replace(facts(), registry_or_reason=replace(found, **values))

    return changed


def last_run(facts: Callable[[], Facts], **fields: Any) -> Callable[[], Facts]:
    """Return the facts with these fields of the newest pipeline run."""

    def changed() -> Facts:
        team = facts().team
        assert team is not None
        return replace(facts(), team_or_reason=replace(team, runs=(*team.runs[:-1], replace(team.runs[-1], **fields))))

    return changed


def last_event(state: str) -> Callable[[Any], tuple[Event, ...]]:
    """Return a function that changes the state of the newest event."""
    return lambda found: (*found.events[:-1], replace(found.events[-1], state=state))


def kit_run(**fields: Any) -> Callable[[World], list[KitRun]]:
    """Return a function that changes the newest run of `workshop run`."""
    return lambda world: [*world.kit_runs[:-1], replace(world.kit_runs[-1], **fields)]


ON_BRANCH: Action = ("switch", "dev-ana", "integration")
BROKEN: tuple[Action, ...] = (("edit", "1_1", True), "commit", "push")
MENDED: tuple[Action, ...] = (("edit", "1_1"), "commit", "push")
SEARCH: tuple[Action, ...] = ("paste_search", "commit", "push")
REQUEST: Action = ("pr_create", "dev-ana", "integration")
MERGE: Action = ("pr_complete", 1, "Ana")

WAYS = [
    # Part 0
    Way("identity", "no name", after(0, ("configure", "", "ana@example.org")), "user.name"),
    Way("identity", "a blank name", after(0, ("configure", " ", "ana@example.org")), "user.name"),
    Way("identity", "no address", after(0, ("configure", "Ana", "")), "no user.email"),
    Way("identity", "an address without @", after(0, ("configure", "Ana", "ana")), "ana, which is not an address"),
    Way("filter", "make setup not run in this clone", after(0, filtered=False), "not set in this clone"),
    Way(
        "filter", "the .venv was removed", clone(after(0), filter_set=True, filter_program="/old/nbstripout"), "/old/nb"
    ),
    Way(
        "filter",
        "outputs committed before it was set",
        clone(after(1), committed={"dev-ana": {**CLEAN, TRAINING: (Cell("1", has_outputs=True),)}}),
        "has outputs in part_1_2_training",
    ),
    Way("tables", "nothing run", after(0, tables=set()), "no table of wine yet"),
    Way("tables", "stopped after one table", after(0, tables={"development"}), "no table production"),
    Way("tables", "one table removed", after(0, tables={"production"}), "no table development"),
    Way("tables", "only a prepared table", after(0, tables={"prepared/dev-ana"}), "no table of wine yet"),
    Way(
        "baseline", "nothing registered", registry(after(0), production=None, versions=()), "no version of wine_quality"
    ),
    Way("baseline", "trained, not delivered", registry(after(0), production=None), "newest version is 1"),
    Way("baseline", "only Staging", registry(after(0), production=None, staging="1"), "holds Staging"),
    Way("team", "not started", lambda: act(World(), *SOLUTION[0][:-1]).facts(), "run `workshop devops start`"),
    Way("team", "started in another clone", after(0, remote=""), "has no remote workshop"),
    Way(
        "team", "a remote of that name leads elsewhere", after(0, remote="https://example.org/x"), "leads to https://ex"
    ),
    Way("team", "reset after the start", after(0, team=None), "this home has no team's repository"),
    # Part 1
    Way("branch", "still on main", after(0), "no branch dev-"),
    Way("branch", "still on main, as another person", after(0, name="Zoë-Ann B."), "-c dev-zoann workshop"),
    Way(
        "branch",
        "a name without dev-",
        after(0, ("switch", "ana", "integration"), person="ana"),
        "must begin with dev-",
    ),
    Way(
        "branch",
        "wrong letter case",
        after(0, ("switch", "dev-Ana", "integration"), person="dev-Ana"),
        "capital letters",
    ),
    Way("branch", "work on integration", after(0, ("switch", "integration"), person="integration"), "is the team's"),
    Way(
        "branch",
        "from an older commit",
        clone(after(0, ON_BRANCH), outdated=frozenset({"dev-ana"})),
        "does not begin at the team's integration",
    ),
    Way("branch", "deleted in this clone", clone(after(3), branches=frozenset({"main"})), "but not in this clone"),
    Way("branch", "dev- alone", after(0, ("switch", "dev-", "integration"), person="dev-"), "without a name after it"),
    Way("prepared", "not run", after(0, ON_BRANCH), "run name no_name only"),
    Way("prepared", "run name empty", after(0, ON_BRANCH, ("run_in_jupyter", "1_1", "")), "empty run_name gives"),
    Way(
        "prepared",
        "wrong letter case",
        after(0, ON_BRANCH, ("run_in_jupyter", "1_1", "Dev-Ana")),
        "dev-ana with capital letters gives",
    ),
    Way(
        "prepared",
        "another person's run name",
        after(0, ON_BRANCH, ("run_in_jupyter", "1_1", "dev-bob")),
        "the run name dev-bob, not dev-ana",
    ),
    Way("prepared", "no branch yet", after(0, ("run_in_jupyter", "1_1", "dev-ana")), "no branch dev-"),
    Way("prepared", "no team yet", after(0, team=None, remote=""), "`workshop devops start`"),
    Way("candidate", "only 1_1 was run", within(1, 2), "run name no_name only"),
    Way(
        "candidate",
        "run name in 1_1 only",
        within(1, 2, ("run_in_jupyter", "1_2", "")),
        "no_name only, which an empty run_name gives",
    ),
    Way(
        "candidate",
        "wrong letter case",
        within(1, 2, ("run_in_jupyter", "1_1", "Dev-Ana"), ("run_in_jupyter", "1_2", "Dev-Ana")),
        "dev-ana with capital letters gives",
    ),
    Way(
        "candidate",
        "another person's run name",
        within(1, 2, ("run_in_jupyter", "1_1", "dev-bob"), ("run_in_jupyter", "1_2", "dev-bob")),
        "the run name dev-bob",
    ),
    Way("judged", "1_3 not run", within(1, 3), "no decision on version 2"),
    Way("judged", "run name empty in 1_3", within(1, 3, ("run_in_jupyter", "1_3", "")), "no decision on version 2"),
    Way("judged", "1_3 before 1_2", within(1, 2, ("run_in_jupyter", "1_3", "dev-ana")), "run 1_2 first"),
    Way(
        "judged",
        "judged under another run name",
        registry(within(1, 3), events=(Event("rejection", "2", "1", "dev-bob"),)),
        "only one under dev-bob",
    ),
    Way("restored", "not restored", within(1, 4), 'has run_name "dev-ana" in your folder'),
    Way("restored", "committed with the run name", within(1, 4, "commit"), "on dev-ana: set run_name to"),
    Way(
        "restored",
        "restored in the folder, left in the commit",
        within(1, 4, "commit", ("switch", "main")),
        "on dev-ana: set run_name to an empty text",
    ),
    Way(
        "restored",
        "the parameters cell was deleted",
        after(1, working={**CLEAN, PREPARATION: (Cell("x"),)}),
        "no cell tagged parameters",
    ),
    Way("restored", "a notebook with conflict markers", after(1, working={**CLEAN, TRAINING: None}), "can't be read"),
    Way("restored", "before anything was run", after(0, ON_BRANCH), "No version has your run name yet"),
    # Part 2
    Way("headless", "not run", after(1), "No run has ended yet"),
    Way("headless", "run name left out", after(1, ("workshop_run", "")), "have the run name no_name, not dev-ana"),
    Way("headless", "wrong letter case", after(1, ("workshop_run", "DEV-ANA")), "dev-ana with capital letters gives"),
    Way(
        "headless",
        "the run failed",
        after(1, ("workshop_run", "dev-ana"), kit_runs=kit_run(status="failed")),
        "has ended as failed",
    ),
    Way(
        "headless",
        "in the middle of the run",
        lambda: replace(after(1)(), home_or_reason=replace(after(1)().home, unfinished=frozenset({"dev-ana"}))),
        "still runs or was killed",
    ),
    Way("sample", "no sample", within(2, 1), "has set the parameter sample"),
    Way(
        "sample",
        "a sample of 1",
        after(2, kit_runs=lambda world: [replace(world.kit_runs[1], parameters={"sample": 1.0})]),
        "which is all wines",
    ),
    Way(
        "sample",
        "under no run name",
        within(2, 1, ("workshop_run", "", "local", 0.1)),
        "not under the run name dev-ana",
    ),
    Way(
        "sample",
        "1_1 failed with the sample",
        within(2, 1, ("edit", "1_1", True), ("workshop_run", "dev-ana", "local", 0.1)),
        "1_1 did not succeed",
    ),
    Way("by_hand", "nothing started", after(1), "No pipeline has run on dev-ana yet"),
    Way("by_hand", "a push, not by hand", after(1, *BROKEN), "was started by a push"),
    Way("by_hand", "on another branch", after(1, ("start_pipeline", UNIT_TEST, "main")), "was started by hand on main"),
    Way(
        "by_hand",
        "not ended",
        last_run(after(1, ("start_pipeline", UNIT_TEST, "dev-ana")), state="running", result=None),
        "is running",
    ),
    Way(
        "by_hand",
        "canceled",
        last_run(after(1, ("start_pipeline", UNIT_TEST, "dev-ana")), result="canceled"),
        "was canceled",
    ),
    Way("remote", "only on this machine", within(2, 2), "was on this machine"),
    Way("remote", "another run name", within(2, 2, ("workshop_run", "dev-bob", "databricks")), "dev-bob has run in"),
    Way(
        "remote",
        "failed in the workspace",
        after(1, ("workshop_run", "dev-ana", "databricks"), kit_runs=kit_run(status="failed")),
        "has ended as failed",
    ),
    Way(
        "remote",
        "the workspace was not reached",
        after(1, ("workshop_run", "dev-ana", "databricks"), kit_runs=kit_run(run_page="", status="failed")),
        "has not reached the workspace",
    ),
    Way(
        "remote",
        "as a person",
        after(1, ("workshop_run", "dev-ana", "databricks"), kit_runs=kit_run(submitted_by="ana@example.org")),
        "was submitted by the user ana@example.org",
    ),
    Way("waits", "not run", within(2, 5), "has not run on dev-ana yet"),
    Way(
        "waits",
        "as delivered: green while it fails",
        within(2, 5, ("start_pipeline", SUBMIT, "dev-ana", False)),
        "did not wait",
    ),
    Way("waits", "on another branch", within(2, 5, ("start_pipeline", SUBMIT, "main")), "ran on main, not on dev-ana"),
    Way(
        "waits",
        "failed before it submitted anything",
        last_run(within(2, 6), log_end="Unauthenticated: the secret is wrong", issues=("exit code 1.",)),
        "not because of a notebook (Unauthenticated: the secret is wrong)",
    ),
    Way(
        "waits",
        "a mistake in the mend",
        last_run(within(2, 6), log_end="Run 7 is submitted.\nAttributeError: no reslt"),
        "not because of a notebook (AttributeError: no reslt)",
    ),
    Way(
        "waits",
        "the set-up failed",
        last_run(within(2, 6), log_end="", issues=("No space is left.",)),
        "not because of a notebook (No space is left)",
    ),
    Way("waits", "still running", last_run(within(2, 6), state="running", result=None), "has not ended"),
    # Part 3
    Way("changed", "nothing changed", after(1), "No commit on dev-ana changes 1_1"),
    Way("changed", "saved, not committed", after(1, ("edit", "1_1")), "is changed in your folder, but not committed"),
    Way("changed", "the wrong file", after(1, ("edit", "1_2"), "commit"), "part_1_2_training.ipynb, and not 1_1"),
    Way(
        "changed", "on main", after(1, ("switch", "main"), ("edit", "1_1"), "commit"), "is on main, and not on dev-ana"
    ),
    Way(
        "changed",
        "on another branch",
        after(1, ("switch", "try", "integration"), ("edit", "1_1"), "commit"),
        "is on try: run `git switch dev-ana`",
    ),
    Way("pushed", "committed, not pushed", after(1, ("edit", "1_1"), "commit"), "has no branch dev-ana"),
    Way(
        "pushed",
        "pushed before the commit",
        after(1, ("edit", "1_2"), "commit", "push", ("edit", "1_1"), "commit"),
        "older",
    ),
    Way(
        "pushed",
        "pushed under another name",
        after(1, ("edit", "1_1"), "commit", ("push", "dev-ana", "dev-bob")),
        "is on the team's dev-bob",
    ),
    Way(
        "pushed",
        "pushed in other letters",
        after(1, ("edit", "1_1"), "commit", team=lambda world: {**world.team, "dev-Ana": world.team["main"]}),
        "with other capital letters",
    ),
    Way(
        "pushed",
        "pushed to main, which is refused",
        after(1, ("edit", "1_1"), "commit", ("push", "dev-ana", "main")),
        "no branch",
    ),
    Way("pushed", "nothing committed", after(1, ("edit", "1_1"), "push"), "no commit of yours to push"),
    Way(
        "pushed",
        "another Ana has the name",
        lambda: _with_stranger(
            after(1, ("edit", "1_1"), "commit", team=lambda w: {**w.team, "dev-ana": w.team["main"]})()
        ),
        "has commits of other@example.org",
    ),
    Way("triggered", "not pushed", after(1, ("edit", "1_1"), "commit"), "has not run for dev-ana"),
    Way("triggered", "started by hand", after(1, ("start_pipeline", UNIT_TEST, "dev-ana")), "by hand, not by a push"),
    Way("triggered", "a push without 1_1", after(1, ("edit", "1_2"), "commit", "push"), "without your change of 1_1"),
    Way(
        "triggered",
        "another person's push",
        after(1, ("switch", "dev-bob", "integration"), ("edit", "1_1"), ("commit", "bob"), "push"),
        "ran for dev-bob, not for dev-ana",
    ),
    Way("failed", "each push succeeded", after(1, *MENDED), "Each of the 1 unit tests of dev-ana succeeded"),
    Way(
        "failed",
        "failed by hand only",
        after(1, ("edit", "1_1", True), "commit", ("start_pipeline", UNIT_TEST, "dev-ana")),
        "no push started it",
    ),
    Way("failed", "still running", last_run(after(1, *BROKEN), state="running", result=None), "has not ended"),
    Way("failed", "canceled", last_run(after(1, *BROKEN), result="canceled"), "was canceled"),
    Way("failed", "not pushed", after(1, ("edit", "1_1", True), "commit"), "has not run for dev-ana"),
    Way("mended", "nothing has failed", after(1, *MENDED), "nothing to mend"),
    Way("mended", "not mended", after(1, *BROKEN), "part_1_1_data_prep, cell 3: NameError): mend it"),
    Way("mended", "mended, not committed", after(1, *BROKEN, ("edit", "1_1")), "your change is not committed"),
    Way("mended", "committed, not pushed", after(1, *BROKEN, *MENDED[:2]), "is not pushed"),
    Way("mended", "still running", last_run(after(1, *BROKEN, *MENDED), state="running", result=None), "has not ended"),
    Way("mended", "canceled", last_run(after(1, *BROKEN, *MENDED), result="canceled"), "was canceled"),
    # Part 4
    Way("search", "nothing copied", after(3), "has the old training cell"),
    Way("search", "copied, not committed", after(3, "paste_search"), "in your folder has the search, but no commit"),
    Way(
        "search",
        "pasted below, committed",
        after(3, ("paste_search", "below"), "commit"),
        "on dev-ana has the search beside",
    ),
    Way(
        "search",
        "pasted below, not committed",
        after(3, ("paste_search", "below")),
        "in your folder has the search beside",
    ),
    Way(
        "search", "pasted into 1_3", after(3, ("paste_search", "1_3"), "commit"), "The search is in part_1_3_evaluating"
    ),
    Way(
        "search",
        "a part of the cell only",
        after(3, working={**CLEAN, TRAINING: notebook(TRAINING, training=(f"{NEW}\n# tried",))}),
        "is another one than that of Part 4",
    ),
    Way("search", "Part 4's cell was cut", after(3, working={**CLEAN, NEW_TRAINING: ()}), "has no cell under Train"),
    Way("request", "none", after(3), "no pull request yet"),
    Way("request", "to main", after(3, ("pr_create", "dev-ana", "main")), "goes to main, not to integration"),
    Way("request", "abandoned", after(3, REQUEST, ("pr_abandon", 1)), "is abandoned"),
    Way(
        "request",
        "from another branch",
        after(3, ("push", "dev-ana", "dev-bob"), ("pr_create", "dev-bob", "integration")),
        "is from dev-bob",
    ),
    Way("request", "not pushed", after(1, ("edit", "1_1"), "commit"), "no branch dev-ana to merge"),
    Way("merged", "not completed", after(3, REQUEST), "is open"),
    Way("merged", "no pull request", after(3), "No pull request from dev-ana to integration"),
    Way("merged", "abandoned", after(3, REQUEST, ("pr_abandon", 1)), "is abandoned: open another"),
    Way(
        "merged",
        "merged into main only",
        after(3, ("pr_create", "dev-ana", "main"), ("pr_complete", 1, "Bob")),
        "goes to main",
    ),
    Way(
        "merged",
        "its test failed",
        last_run(
            after(3, REQUEST, ("start_pipeline", UNIT_TEST, "dev-ana")), branch="refs/pull/1/merge", result="failed"
        ),
        "The test of pull request 1 failed",
    ),
    Way("integrated", "not merged", after(3, REQUEST), "No pull request of yours is merged"),
    Way("integrated", "not better", after(3, REQUEST, MERGE), "failed as intended"),
    Way(
        "integrated",
        "still running",
        last_run(after(3, REQUEST, MERGE), state="running", result=None, tags=frozenset()),
        "not ended",
    ),
    Way(
        "integrated",
        "canceled",
        last_run(after(3, REQUEST, MERGE), result="canceled", tags=frozenset()),
        "was canceled",
    ),
    Way(
        "integrated",
        "failed for another reason",
        last_run(after(3, REQUEST, MERGE), tags=frozenset(), issues=("2 of 9 tests failed.",)),
        "(2 of 9 tests failed)",
    ),
    Way(
        "integrated",
        "by hand on the own branch",
        last_run(after(3, REQUEST, MERGE), branch="dev-ana", reason="manual"),
        "by hand",
    ),
    Way("staged", "not better", after(3, REQUEST, MERGE), "is not better"),
    Way(
        "staged", "by a run of one's own", after(3, "paste_search", ("workshop_run", "dev-ana")), "in a run of your own"
    ),
    Way(
        "staged",
        "by another person's merge",
        after(
            3,
            "paste_search",
            ("commit", "bob"),
            ("push", "dev-ana", "dev-bob"),
            ("pr_create", "dev-bob", "integration"),
            MERGE,
        ),
        "not from CI on your merge",
    ),
    Way("staged", "cut off", registry(after(4), events=last_event("intended")), "did not keep Staging (intended)"),
    Way("staged", "better, but not merged", after(3, *SEARCH), "no version that took Staging"),
    Way("proposed", "not better", after(3, REQUEST, MERGE), "`staged` comes first"),
    Way(
        "proposed",
        "opened by hand",
        after(4, requests=lambda world: [replace(each, description="") for each in world.requests]),
        "was opened by hand",
    ),
    Way(
        "proposed",
        "the last step failed",
        after(4, requests=lambda world: world.requests[:2]),
        "no pull request from integration",
    ),
    Way(
        "proposed",
        "from the own branch to main",
        after(4, requests=lambda world: [*world.requests[:2], replace(world.requests[0], number=3, target="main")]),
        "is from dev-ana, not from integration",
    ),
    Way("stopped", "nothing merged", after(3), "has run on no merge of dev-ana yet"),
    Way("stopped", "only better ones", after(3, *SEARCH, REQUEST, MERGE), "was better, or the run goes on"),
    Way(
        "stopped",
        "failed at the tests",
        last_run(after(3, REQUEST, MERGE), tags=frozenset(), issues=("2 of 9 tests failed.",)),
        "not at the comparison (2 of 9 tests failed)",
    ),
    Way(
        "stopped",
        "CI by hand on the own branch",
        after(3, ("start_pipeline", CI, "dev-ana")),
        "this run is not CI on your merge",
    ),
    Way(
        "stopped",
        "only a run of one's own",
        after(3, ("workshop_run", "dev-ana"), kit_runs=kit_run(status="not better")),
        "The candidate of a run of yours was not better",
    ),
    # Part 5
    Way("approved_merge", "not completed", after(4), "is open"),
    Way("approved_merge", "merged by its author", after(4, ("pr_complete", 3, "Ana")), "by its author Ana"),
    Way("approved_merge", "by its author in other letters", after(4, ("pr_complete", 3, " ANA")), "by its author"),
    Way(
        "approved_merge",
        "past integration",
        after(3, ("pr_create", "dev-ana", "main"), ("pr_complete", 1, "Bob")),
        "past integ",
    ),
    Way("approved_merge", "better, but not merged", after(3, *SEARCH), "is not merged into integration yet"),
    Way("approved_merge", "not proposed", after(3, REQUEST, MERGE), "no pull request from integration to main"),
    Way(
        "approved_merge",
        "a merge without one's own change",
        after(
            3,
            ("switch", "dev-bob", "main"),
            ("edit", "1_2"),
            ("commit", "bob"),
            "push",
            ("pr_create", "dev-bob", "integration"),
            MERGE,
            ("pr_create", "integration", "main"),
            ("pr_complete", 2, "Bob"),
        ),
        "without your change",
    ),
    Way("delivered", "not approved", within(5, 2), "waits: run `workshop devops approve 8"),
    Way("delivered", "rejected", within(5, 2, ("approve", 8, "Bob", True)), "failed (its log has the reason)"),
    Way("delivered", "not better", last_run(within(5, 3), result="succeeded with issues"), "is not better"),
    Way("delivered", "approvals are off", last_run(within(5, 3), approved_by=""), "ran without an approval"),
    Way("delivered", "running", last_run(within(5, 2), state="running"), "has not ended"),
    Way("delivered", "no merge by another person", after(4), "`approved_merge` comes first"),
    Way("delivered", "by hand before the merge", last_run(within(5, 2), commit="f" * 40), "not on the merge"),
    Way("promoted", "not approved", within(5, 2), "by the run name no_name, not by CD"),
    Way("promoted", "overridden by hand", within(5, 2, ("override", "5")), "got Production by hand"),
    Way("promoted", "make cd instead", after(4, "make_cd"), "by the run name no_name"),
    Way(
        "promoted",
        "given back by the swap",
        registry(within(5, 3), events=last_event("returned")),
        "is returned, not done",
    ),
    Way(
        "promoted",
        "not better on production wines",
        registry(within(5, 3), events=lambda found: (*found.events[:-1], replace(found.events[-1], kind="rejection"))),
        "of CD was not better",
    ),
    Way("archived", "nothing promoted", after(4), "`promoted` comes first"),
    Way(
        "archived",
        "the swap was cut off",
        registry(within(5, 3), versions=lambda found: tuple(replace(each, archived=False) for each in found.versions)),
        "is not archived",
    ),
    Way(
        "archived",
        "the first in Production",
        registry(within(5, 3), events=lambda found: (*found.events[:-1], replace(found.events[-1], champion=None))),
        "was the first in Production",
    ),
    Way(
        "archived", "deleted", registry(within(5, 3), versions=(Version("6", "main"),)), "was deleted from the registry"
    ),
    Way("compared", "not started", after(4, runs=[]), "has not been started by hand"),
    Way("compared", "on main", after(4, ("start_pipeline", CD, "main")), "by hand on main, not on dev-ana"),
    Way("compared", "the wrong pipeline", after(4, ("start_pipeline", CI, "dev-ana")), "ci.yml was started by hand"),
    Way(
        "compared",
        "with promoteFromThisBranch",
        registry(within(5, 1), events=lambda found: (*found.events[:-1], replace(found.events[-1], kind="promotion"))),
        "promoted version 6 (promoteFromThisBranch)",
    ),
    Way("compared", "failed", last_run(within(5, 1), result="failed"), "failed: mend it"),
    Way("compared", "not ended", last_run(within(5, 1), state="running", result=None), "has not ended"),
    Way("rolled_back", "nothing promoted", after(4), "so there is nothing to give back"),
    Way("rolled_back", "not rolled back", within(5, 3), "run `workshop rollback`, twice"),
    Way("rolled_back", "not undone", within(5, 4), "and version 1 holds it"),
    Way("rolled_back", "an override instead", within(5, 3, ("override", "1")), "which is no rollback"),
    Way(
        "rolled_back",
        "before the promotion",
        lambda: _rolled_back_before(within(5, 3)()),
        "was not from version 7",
    ),
    Way(
        "rolled_back", "the rollback did not hold", registry(within(5, 4), events=last_event("returned")), "is returned"
    ),
    Way("scored", "not scored", within(5, 5), "has no predictions yet"),
    Way("scored", "by the version before", within(5, 2, "score", ("approve", 8)), "predictions are by version 1"),
    Way("scored", "an empty Production", registry(after(5), production=None), "No version holds Production"),
]


def _with_stranger(facts: Facts) -> Facts:
    assert facts.team is not None
    return replace(facts, team_or_reason=replace(facts.team, strangers={"dev-ana": "other@example.org"}))


def _rolled_back_before(facts: Facts) -> Facts:
    *earlier, promotion = facts.registry.events
    events = (*earlier, Event("rollback", "1", "2"), promotion)
    return replace(facts, registry_or_reason=replace(facts.registry, events=events))


def _judge(criterion: str, facts: Facts) -> Finding:
    return ALL[criterion][1].judge(facts)


@pytest.mark.parametrize("criterion", ALL)
def test_a_criterion_is_not_yet_on_a_fresh_clone_and_met_after_the_solution(criterion: str) -> None:
    part, _ = ALL[criterion]
    assert _judge(criterion, World().facts()).state == "not yet"
    assert _judge(criterion, solved(part).facts()).state == "met"
    assert _judge(criterion, solved(5).facts()).state == "met", "a later part must not undo it"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.criterion}: {way.way}")
def test_a_wrong_way_gets_the_sentence_written_for_it(way: Way) -> None:
    found = _judge(way.criterion, way.facts())
    assert (found.state, way.names in found.sentence) == ("not yet", True), found.sentence


def test_the_table_of_wrong_ways() -> None:
    rows = [(way, _judge(way.criterion, way.facts())) for way in WAYS]
    for way, found in rows:
        print(f"| {way.criterion} | {way.way} | {found.state} | {found.sentence} |")
    ways = {criterion: [found for way, found in rows if way.criterion == criterion] for criterion in ALL}
    print(f"{len(rows)} wrong ways of {len(ways)} criteria")
    assert len(rows) >= FEWEST_IN_ALL
    assert {criterion for criterion, found in ways.items() if len(found) < FEWEST_WAYS} == set()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.criterion}: {way.way}")
def test_a_sentence_is_one_and_names_the_next_step(way: Way) -> None:
    sentence = _judge(way.criterion, way.facts()).sentence
    assert sentence.endswith(".")
    assert ": " in sentence, "what was found, then what to do"


UNSEEN = Unseen("The store /x/mlflow.db can't be read (locked): try again.")
PLACES = ("clone_or_reason", "team_or_reason", "home_or_reason", "registry_or_reason", "person_or_reason")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("world", [World(), solved(5)], ids=["fresh", "solved"])
def test_what_could_not_be_looked_at_is_never_met_nor_refused(place: str, world: World) -> None:
    facts = replace(world.facts(), **{place: UNSEEN})  # type: ignore[arg-type]
    lines = checking.judge(facts)
    untold = [line for line in lines if line.finding.state == "can't tell"]
    assert untold
    assert {line.finding.sentence for line in untold} == {str(UNSEEN)}
    assert not checking.is_complete(lines)
    assert "done" not in checking.conclusion(lines)
    assert checking.as_json(lines)["status"] == "error"


def test_a_run_without_an_identity_leaves_open_who_submitted_it() -> None:
    facts = after(1, ("workshop_run", "dev-ana", "databricks"), kit_runs=kit_run(submitted_by=""))()
    found = _judge("remote", facts)
    assert (found.state, "does not name its identity" in found.sentence) == ("can't tell", True)


def test_a_damaged_record_leaves_open_what_it_may_decide() -> None:
    sentence = "the record of pipeline run 3 in /x is damaged: restore it, or remove it"
    facts = replace(after(3, REQUEST)(), damaged={"runs": sentence})
    states = {line.criterion.id: line.finding for line in checking.judge(facts)}
    assert states["integrated"].state == "can't tell"
    assert states["integrated"].sentence.endswith(f"; but {sentence}.")
    assert states["mended"].state == "met"
    assert states["merged"].state == "not yet"


def test_every_criterion_has_three_hints_and_a_reason() -> None:
    criteria: list[Criterion] = [each for _, each in ALL.values()]
    assert len({each.id for each in criteria}) == len(criteria)
    for each in criteria:
        assert len(set(each.hints)) == len(checking.LEVELS)
        assert each.title.endswith(".")
        assert each.why.endswith(".")
