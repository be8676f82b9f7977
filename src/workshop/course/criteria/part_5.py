"""Part 5: continuous delivery."""

from workshop.course.criteria.delivery import (
    CD,
    approved_merges,
    cd_runs,
    contains_own,
    deliveries,
    own_merges,
    promotions,
)
from workshop.course.criterion import Criterion, Finding, a_branch, a_team, met, not_yet
from workshop.course.facts import INTEGRATION, MAIN, Facts

_RUNS, _REQUESTS = ("runs", "requests"), ("requests",)
_WATCH = "run `workshop devops watch --until-idle`"


def _approved_merge(facts: Facts) -> Finding:
    name, team = a_branch(facts), a_team(facts)
    if done := approved_merges(facts):
        return met(
            f"Pull request {done[-1].number} to main, by {done[-1].author}, was completed by {done[-1].completed_by}."
        )
    to_main = [each for each in team.requests if each.target == MAIN and each.status != "abandoned"]
    ours = [each for each in to_main if each.source == INTEGRATION]
    with_change = [each for each in ours if each.status == "completed" and contains_own(facts, each)]
    if with_change:
        last = with_change[-1]
        return not_yet(
            f"Pull request {last.number} was completed by its author {last.author}: let "
            "another person complete the next one."
        )
    if active := [each for each in ours if each.status == "active"]:
        number = active[-1].number
        return not_yet(
            f"Pull request {number} to main is open: run `workshop devops pr complete {number} --as Bob --wait`."
        )
    if ours:
        return not_yet(
            f"Pull request {ours[-1].number} was merged into main without your change: merge it into integration."
        )
    if to_main:
        return not_yet(
            f"Pull request {to_main[-1].number} goes from {to_main[-1].source} to main, past integration: "
            f"merge {name} into integration instead."
        )
    if not own_merges(facts):
        return not_yet(f"{name} is not merged into integration yet: finish Part 4 (`workshop check 4`).")
    return not_yet(
        "There is no pull request from integration to main: run `workshop devops pr create --source integration "
        "--target main`."
    )


def _delivered(facts: Facts) -> Finding:
    a_branch(facts)
    runs = cd_runs(facts)
    if done := deliveries(facts):
        return met(f"Run {done[-1].number} of {CD}, approved by {done[-1].approved_by}, succeeded.")
    if not runs:
        if not approved_merges(facts):
            return not_yet("No merge into main has been completed by another person yet: `approved_merge` comes first.")
        if others := [run for run in a_team(facts).runs if run.pipeline == CD]:
            last = others[-1]
            return not_yet(
                f"Run {last.number} of {CD} was on {last.branch} at {last.commit[:8]}, not on the merge: {_WATCH}."
            )
        return not_yet(f"The merge into main has started no run of {CD}: {_WATCH}.")
    last = runs[-1]
    if last.state == "waiting for approval":
        return not_yet(f"Run {last.number} of {CD} waits: run `workshop devops approve {last.number} --as Bob`.")
    if last.state != "completed":
        return not_yet(f"Run {last.number} of {CD} has not ended: {_WATCH}.")
    if last.result == "succeeded with issues":
        return not_yet(f"Run {last.number} of {CD} compared, and the model is not better: deliver a better one.")
    if last.result == "succeeded":
        return not_yet(
            f"Run {last.number} of {CD} ran without an approval: run `workshop devops start --approvals`, then "
            f"`workshop devops rerun {last.number}`."
        )
    reason = last.reason_of_failure
    return not_yet(f"Run {last.number} of {CD} {last.result} ({reason}): run `workshop devops rerun {last.number}`.")


def _promoted(facts: Facts) -> Finding:
    a_branch(facts)
    if found := promotions(facts):
        return met(f"Version {found[-1].version}, from CD on this merge, was promoted to Production.")
    commits = {run.commit for run in cd_runs(facts)}
    events = facts.registry.events
    of_cd = [event for event in events if event.commit in commits and event.run_name == MAIN]
    if cut := [event for event in of_cd if event.kind == "promotion"]:
        return not_yet(
            f"The promotion of version {cut[-1].version} is {cut[-1].state}, not done: see `workshop history`."
        )
    if rejected := [event for event in of_cd if event.kind in {"rejection", "refusal"}]:
        return not_yet(f"Version {rejected[-1].version} of CD was not better: see `workshop history`, and improve 1_2.")
    if override := [event for event in events if event.kind == "override"]:
        return not_yet(
            f"Version {override[-1].version} got Production by hand, past CD: merge into main, and approve CD."
        )
    if own := [event for event in events if event.kind == "promotion"]:
        last = own[-1]
        return not_yet(
            f"The newest promotion is of version {last.version}, by the run name {last.run_name}, not by CD on your "
            "merge: merge into main, and approve CD."
        )
    return not_yet("The history has no promotion yet: merge into main, and approve CD.")


def _archived(facts: Facts) -> Finding:
    a_branch(facts)
    found = promotions(facts)
    if not found:
        return not_yet(
            "CD has promoted no version of a merge of yours, so no champion is archived: `promoted` comes first."
        )
    champions = {event.champion for event in found if event.champion}
    if not champions:
        return not_yet(f"Version {found[-1].version} was the first in Production: deliver a better one.")
    archived = {version.number for version in facts.registry.versions if version.archived}
    if done := champions & archived:
        return met(f"Version {max(done, key=int)}, the champion before, is archived.")
    champion = max(champions, key=int)
    if champion not in {version.number for version in facts.registry.versions}:
        return not_yet(f"Version {champion}, the champion before, was deleted from the registry: deliver again.")
    return not_yet(
        f"Version {champion}, the champion before, is not archived: the next run of `make cd` finishes the swap."
    )


def _compared(facts: Facts) -> Finding:
    name = a_branch(facts)
    command = f"`workshop pipelines run {CD} --branch {name}`"
    runs = facts.team.runs if facts.team else ()
    by_hand = [run for run in runs if run.pipeline == CD and run.by_hand]
    own = [run for run in by_hand if run.branch in facts.person.branches]
    ended = [run for run in own if run.result in {"succeeded", "succeeded with issues"}]
    own_events = [event for event in facts.registry.events if event.run_name in facts.person.run_names]
    events = [event for event in own_events if event.commit in {run.commit for run in ended}]
    if done := [event for event in events if event.kind == "comparison"]:
        return met(f"CD on {name}, started by hand, compared version {done[-1].version} and moved no slot.")
    if moved := [event for event in events if event.kind == "promotion"]:
        return not_yet(
            f"CD on {name} promoted version {moved[-1].version} (promoteFromThisBranch): run {command} without it."
        )
    if ended:
        return not_yet(f"Run {ended[-1].number} of {CD} has recorded no comparison of {name}: run {command}.")
    if own and own[-1].state != "completed":
        return not_yet(f"Run {own[-1].number} of {CD} on {name} has not ended: {_WATCH}.")
    if own:
        return not_yet(f"Run {own[-1].number} of {CD} on {name} {own[-1].result}: mend it, and run {command}.")
    if by_hand:
        return not_yet(f"{CD} was started by hand on {by_hand[-1].branch}, not on {name}: run {command}.")
    if other := [run for run in runs if run.by_hand and run.branch in facts.person.branches]:
        return not_yet(f"{other[-1].pipeline} was started by hand on {name}, and {CD} was not: run {command}.")
    if any(event.kind == "comparison" for event in facts.registry.events):
        return not_yet(f"The history has a comparison, but not by {CD} on {name}: run {command}.")
    return not_yet(f"{CD} has not been started by hand: run {command}.")


def _rolled_back(facts: Facts) -> Finding:
    a_branch(facts)
    events, production = facts.registry.events, facts.registry.production
    promoted = promotions(facts)
    if not promoted:
        return not_yet(
            "CD has promoted no version of a merge of yours yet, so there is nothing to give back: `promoted` first."
        )
    for promotion in promoted:
        after = events[events.index(promotion) + 1 :]
        back = [event for event in after if event.kind == "rollback" and event.champion == promotion.version]
        if not any(event.state == "done" for event in back):
            continue
        if production == promotion.version:
            return met(f"Production was given back once, and is with version {production} again.")
        return not_yet(
            f"Production was given back, and version {production} holds it: run "
            f"`workshop rollback --to {promotion.version}`."
        )
    version = promoted[-1].version
    rollbacks = [event for event in events if event.kind == "rollback"]
    if rollbacks and rollbacks[-1].state != "done":
        return not_yet(
            f"The rollback to version {rollbacks[-1].version} is {rollbacks[-1].state}: run `workshop rollback`."
        )
    if rollbacks:
        return not_yet(
            f"The newest rollback, to version {rollbacks[-1].version}, was not from version {version}: "
            "run `workshop rollback`, twice."
        )
    if events[-1].kind == "override":
        return not_yet(
            f"Version {events[-1].version} was promoted by hand, which is no rollback: run `workshop rollback`."
        )
    return not_yet(f"Version {version} has held Production since its promotion: run `workshop rollback`, twice.")


def _scored(facts: Facts) -> Finding:
    production, scored = facts.registry.production, facts.home.scored_by
    command = "`workshop run --action deployment --compare-only --scoring`"
    if production is None:
        return not_yet("No version holds Production, so none can score: run `make cd`.")
    if production in scored:
        return met(f"The newest predictions are by version {production}, which holds Production.")
    if scored:
        return not_yet(
            f"The newest predictions are by version {max(scored, key=lambda each: each.zfill(9))}, and version "
            f"{production} holds Production: run {command}."
        )
    return not_yet(f"{facts.home.path} has no predictions yet: run {command}.")


CRITERIA = (
    Criterion(
        "approved_merge",
        "A pull request from integration to main, with your change, was completed by a person other than its author.",
        _approved_merge,
        "Two people see each change to Production, and the repository enforces it.",
        (
            "Who may complete a pull request to main?",
            "`workshop devops pr complete N --as NAME` completes it as another person.",
            "workshop devops pr list\nworkshop devops pr complete N --as Bob --wait",
        ),
        _REQUESTS,
    ),
    Criterion(
        "delivered",
        "CD ran on main for the merge of integration, was approved, and succeeded.",
        _delivered,
        "The approval is the last moment at which a person decides; after it, only the comparison does.",
        (
            "CD waits for something before it compares. `workshop devops runs` lists it with the command.",
            "`workshop devops approve N` lets a deployment go on; `watch` prints the number.",
            "workshop devops runs\nworkshop devops approve N --as Bob\nworkshop devops watch --until-idle",
        ),
        _RUNS,
    ),
    Criterion(
        "promoted",
        "The version from this run of CD was promoted to Production.",
        _promoted,
        "The slot moved in one call: a caller always got a model, the old one or the new one.",
        (
            "`workshop history` lists each promotion with its commit.",
            "CD promotes what is better on the production wines: deliver the search of Part 4.",
            "workshop devops watch --until-idle\nworkshop history",
        ),
        _RUNS,
    ),
    Criterion(
        "archived",
        "The previous champion is archived.",
        _archived,
        "An archived version is kept: a rollback needs it.",
        (
            "`workshop status` lists the archived versions.",
            "A promotion archives the version that it replaces.",
            "workshop status",
        ),
        _RUNS,
    ),
    Criterion(
        "compared",
        "CD, started by hand on your own branch, compared and moved no slot.",
        _compared,
        "CD on a branch only compares; only CD on main moves the slot.",
        (
            "CD can be started on any branch. What does it do on one that is not main?",
            "Start the file cd.yml by hand, on your branch.",
            "workshop pipelines run cd.yml --branch dev-ana",
        ),
        ("runs",),
    ),
    Criterion(
        "rolled_back",
        "Production was given back once, and is with the promoted version again.",
        _rolled_back,
        "You have tried the way back before you need it: it is one command, and takes seconds.",
        (
            "The version before is archived, and one command gives Production back to it.",
            "A second rollback undoes the first.",
            'workshop rollback --reason "a drill"\nworkshop rollback --reason "the drill is over"',
        ),
        _RUNS,
    ),
    Criterion(
        "scored",
        "The newest predictions are by the version in Production.",
        _scored,
        "1_4 looks the model up by its slot, so it scores with the new version without a change.",
        (
            "1_4 scores a table with the model in a slot.",
            "`workshop run` has the option --scoring.",
            "workshop run --action deployment --compare-only --scoring",
        ),
        optional=True,
    ),
)
