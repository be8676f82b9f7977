"""The way of a participant's change through pull requests, CI and CD."""

from workshop.course.criterion import a_team
from workshop.course.facts import INTEGRATION, MAIN, Event, Facts, PipelineRun, Request

CI, CD = "ci.yml", "cd.yml"
NOT_BETTER = "not better"
"""The tag of such a run."""


def own_merges(facts: Facts) -> list[Request]:
    """Return the completed pull requests from the participant's branches into integration."""
    return [
        each
        for each in a_team(facts).requests
        if each.source in facts.person.branches and each.target == INTEGRATION and each.status == "completed"
    ]


def ci_runs(facts: Facts) -> list[PipelineRun]:
    """Return the runs of CI on the participant's merges."""
    commits = {each.merge_commit for each in own_merges(facts)}
    return [
        run for run in a_team(facts).runs if run.pipeline == CI and run.branch == INTEGRATION and run.commit in commits
    ]


def stagings(facts: Facts) -> list[Event]:
    """Return the versions that took Staging in CI on the participant's merges."""
    commits = {run.commit for run in ci_runs(facts)}
    return [
        event
        for event in facts.registry.events
        if event.kind == "staging"
        and event.state == "done"
        and event.run_name == INTEGRATION
        and event.commit in commits
    ]


def approved_merges(facts: Facts) -> list[Request]:
    """Return the merges into main that contain the participant's change and were completed by another person."""
    return [
        each
        for each in a_team(facts).requests
        if (each.source, each.target, each.status) == (INTEGRATION, MAIN, "completed")
        and _folded(each.completed_by) != _folded(each.author)
        and contains_own(facts, each)
    ]


def cd_runs(facts: Facts) -> list[PipelineRun]:
    """Return the runs of CD on the merges into main that contain the participant's change."""
    commits = {each.merge_commit for each in approved_merges(facts)}
    return [run for run in a_team(facts).runs if run.pipeline == CD and run.branch == MAIN and run.commit in commits]


def deliveries(facts: Facts) -> list[PipelineRun]:
    """Return those of them that were approved and succeeded."""
    return [run for run in cd_runs(facts) if run.result == "succeeded" and run.approved_by]


def promotions(facts: Facts) -> list[Event]:
    """Return the promotions by CD on the merges that contain the participant's change."""
    commits = {run.commit for run in deliveries(facts)}
    return [
        event
        for event in facts.registry.events
        if event.kind == "promotion" and event.state == "done" and event.run_name == MAIN and event.commit in commits
    ]


def contains_own(facts: Facts, request: Request) -> bool:
    """Return whether a merge into main contains a merge of the participant."""
    team = a_team(facts)
    return any(team.contains(request.merge_commit, each.merge_commit) for each in own_merges(facts))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def unsuccessful(run: PipelineRun) -> str:
    """Return the sentence on a run of CI that did not succeed."""
    if run.state == "waiting for approval":
        return f"Run {run.number} of {CI} waits for an approval: run `workshop devops approve {run.number}`."
    if run.state != "completed":
        return f"Run {run.number} of {CI} has not ended: run `workshop devops watch --until-idle`."
    if NOT_BETTER in run.tags:
        return (
            f"Run {run.number} of {CI} failed as intended, since the model is not better: merge a better training cell."
        )
    if run.result == "canceled":
        return f"Run {run.number} of {CI} was canceled: run `workshop devops rerun {run.number}`."
    reason = run.reason_of_failure
    return f"Run {run.number} of {CI} {run.result} ({reason}): mend it, and merge again."
