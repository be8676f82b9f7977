"""Part 4: better training code, and continuous integration."""

from workshop.course.criteria.delivery import CI, NOT_BETTER, ci_runs, own_merges, stagings, unsuccessful
from workshop.course.criteria.training_cell import code_of, is_in, placed, training_cells
from workshop.course.criterion import Criterion, Finding, a_branch, a_team, met, not_yet
from workshop.course.facts import (
    EVALUATION,
    INTEGRATION,
    MAIN,
    NEW_TRAINING,
    PREPARATION,
    TRAINING,
    Facts,
)

_SUCCEEDED = {"succeeded", "succeeded with issues"}
_RUNS, _REQUESTS = ("runs", "requests"), ("requests",)


def _search(facts: Facts) -> Finding:
    name, clone = a_branch(facts), facts.clone
    new = training_cells(clone.working.get(NEW_TRAINING))
    if not new:
        return not_yet(f"{NEW_TRAINING} has no cell under Train: run `git restore src/workshop/notebooks`.")
    better = code_of(new[0])
    states = {branch: placed(notebooks.get(TRAINING), better) for branch, notebooks in clone.committed.items()}
    if replaced := [branch for branch, state in states.items() if state == "replaced"]:
        return met(f"1_2 on {min(replaced)} has the search in place of the old training cell.")
    copy = f"copy the cell under Train of {NEW_TRAINING} over the one in {TRAINING}"
    if added := [branch for branch, state in states.items() if state == "added"]:
        return not_yet(
            f"1_2 on {min(added)} has the search beside the old training cell: delete the old one, and commit."
        )
    working = placed(clone.working.get(TRAINING), better)
    if working == "replaced":
        return not_yet(
            f'1_2 in your folder has the search, but no commit of {name} does: run `git commit -am "Search"`.'
        )
    if working == "added":
        return not_yet(
            "1_2 in your folder has the search beside the old training cell: delete the old one, and commit."
        )
    for other in (PREPARATION, EVALUATION):
        if any(is_in(notebooks.get(other), better) for notebooks in (clone.working, *clone.committed.values())):
            return not_yet(f"The search is in {other}: {copy}, and take it out of {other}.")
    if any(state == "edited" for state in (*states.values(), working)):
        return not_yet(f"The training cell of 1_2 is another one than that of Part 4: {copy}, whole.")
    return not_yet(f"1_2 on {name} has the old training cell: {copy}, and commit.")


def _request(facts: Facts) -> Finding:
    name, team = a_branch(facts), a_team(facts)
    command = f"`workshop devops pr create --source {name} --target integration`"
    own = [each for each in team.requests if each.source in facts.person.branches]
    if found := [each for each in own if each.target == INTEGRATION and each.status != "abandoned"]:
        return met(f"Pull request {found[-1].number} merges {found[-1].source} into integration: {found[-1].status}.")
    if own and own[-1].status == "abandoned":
        return not_yet(f"Pull request {own[-1].number} is abandoned: run {command}.")
    if own:
        return not_yet(f"Pull request {own[-1].number} goes to {own[-1].target}, not to integration: run {command}.")
    if team.requests:
        last = team.requests[-1]
        return not_yet(f"The newest pull request is from {last.source}, not from {name}: run {command}.")
    if name not in team.branches:
        return not_yet(f"The team's repository has no branch {name} to merge: run `git push workshop {name}`.")
    return not_yet(f"The team has no pull request yet: run {command}.")


def _merged(facts: Facts) -> Finding:
    name, team = a_branch(facts), a_team(facts)
    if done := own_merges(facts):
        return met(f"Pull request {done[-1].number} was completed: integration has your change.")
    own = [each for each in team.requests if each.source in facts.person.branches and each.target == INTEGRATION]
    active = [each for each in own if each.status == "active"]
    if active:
        last = active[-1]
        tests = [run for run in team.runs if run.branch == f"refs/pull/{last.number}/merge"]
        if tests and tests[-1].result == "failed":
            return not_yet(
                f"The test of pull request {last.number} failed (run {tests[-1].number}): mend it, and push."
            )
        return not_yet(f"Pull request {last.number} is open: run `workshop devops pr complete {last.number} --wait`.")
    if own:
        return not_yet(
            f"Pull request {own[-1].number} is abandoned: open another one with `workshop devops pr create`."
        )
    if wrong := [each for each in team.requests if each.source in facts.person.branches]:
        return not_yet(f"Pull request {wrong[-1].number} goes to {wrong[-1].target}: open one to integration.")
    return not_yet(
        f"No pull request from {name} to integration: run `workshop devops pr create --source {name} "
        "--target integration`."
    )


def _integrated(facts: Facts) -> Finding:
    a_branch(facts)
    runs = ci_runs(facts)
    if done := [run for run in runs if run.result in _SUCCEEDED]:
        return met(f"Run {done[-1].number} of {CI} on your merge succeeded.")
    if not own_merges(facts):
        return not_yet(
            "No pull request of yours is merged into integration yet, so CI has nothing to run on: complete "
            "your pull request."
        )
    if runs:
        return not_yet(unsuccessful(runs[-1]))
    elsewhere = [run for run in a_team(facts).runs if run.pipeline == CI]
    if elsewhere:
        last = elsewhere[-1]
        how = "started by hand" if last.by_hand else "on another merge"
        return not_yet(
            f"Run {last.number} of {CI} was {how}, on {last.branch}: merge a change "
            "of 1_1, 1_2 or 1_3 into integration."
        )
    return not_yet(
        f"Your merge has started no run of {CI}, which starts for a change to 1_1, 1_2, 1_3 or the code that "
        "they call: merge such a change."
    )


def _staged(facts: Facts) -> Finding:
    a_branch(facts)
    if found := stagings(facts):
        return met(f"Version {found[-1].version}, from CI on your merge, took Staging.")
    commits = {run.commit for run in ci_runs(facts)}
    kinds = {"staging", "rejection", "refusal"}
    if decided := [each for each in facts.registry.events if each.commit in commits and each.kind in kinds]:
        version = decided[-1].version
        if decided[-1].kind == "staging":
            return not_yet(
                f"Version {version} did not keep Staging ({decided[-1].state}): "
                "repeat CI with `workshop devops rerun N`."
            )
        return not_yet(f"Version {version}, from CI on your merge, is not better: merge a better training cell.")
    all_staged = [event for event in facts.registry.events if event.kind == "staging"]
    own = [event for event in all_staged if event.run_name in facts.person.run_names]
    if own:
        return not_yet(
            f"Version {own[-1].version} took Staging in a run of your own, not in "
            "CI: merge your branch into integration."
        )
    if all_staged:
        return not_yet(
            f"Version {all_staged[-1].version} took Staging, but not from CI on your "
            "merge: merge a better training cell."
        )
    return not_yet("The history has no version that took Staging: merge a better training cell into integration.")


def _proposed(facts: Facts) -> Finding:
    a_branch(facts)
    versions = [event.version for event in stagings(facts)]
    requests = [each for each in a_team(facts).requests if (each.source, each.target) == (INTEGRATION, MAIN)]
    for each in requests:
        if named := [version for version in versions if f"Version {version} holds Staging" in each.description]:
            return met(f"CI opened pull request {each.number} to main, for version {named[-1]}.")
    if not versions:
        return not_yet("CI has staged no version from a merge of yours, so it proposes nothing: `staged` comes first.")
    if requests:
        return not_yet(
            f"Pull request {requests[-1].number} to main was opened by hand, or for another version than "
            f"{versions[-1]}: see the last step of CI in `workshop devops web`."
        )
    if wrong := [each for each in a_team(facts).requests if each.target == MAIN]:
        return not_yet(
            f"Pull request {wrong[-1].number} to main is from {wrong[-1].source}, not from integration: let CI open it."
        )
    return not_yet(
        "There is no pull request from integration to main: see the last step of CI in `workshop devops web`."
    )


def _stopped(facts: Facts) -> Finding:
    name = a_branch(facts)
    runs = ci_runs(facts)
    if found := [run for run in runs if run.result == "failed" and NOT_BETTER in run.tags]:
        return met(f"Run {found[-1].number} of {CI} on your merge failed, since the model is not better.")
    advice = "change a text of 1_1, and merge it into integration"
    if failed := [run for run in runs if run.result == "failed"]:
        reason = failed[-1].reason_of_failure
        return not_yet(f"Run {failed[-1].number} failed, but not at the comparison ({reason}): mend it, then {advice}.")
    elsewhere = [run for run in a_team(facts).runs if NOT_BETTER in run.tags]
    if elsewhere:
        last = elsewhere[-1]
        return not_yet(
            f"The candidate of run {last.number} of {last.pipeline} on {last.branch} was not better, but this "
            "run is not "
            f"CI on your merge: {advice}."
        )
    if any(run.status == NOT_BETTER and run.run_name in facts.person.run_names for run in facts.home.runs):
        return not_yet(
            f"The candidate of a run of yours was not better, but {CI} has compared no such model: {advice}."
        )
    if runs:
        return not_yet(f"The candidate of each CI run on a merge of yours was better, or the run goes on: {advice}.")
    return not_yet(f"{CI} has run on no merge of {name} yet: {advice}.")


CRITERIA = (
    Criterion(
        "search",
        "1_2 on your branch has the training cell of Part 4 in place of the old one.",
        _search,
        "The cells around it stay as they are: the next ones need only `model` and `training_run`.",
        (
            "One cell of 1_2 trains. Which cell of part_4_new_training_code takes its place?",
            "Copy the cell under Train, paste it over the one under Train in 1_2, save, and commit on your branch.",
            "# in `workshop lab`: copy the cell under Train, over the one in "
            'part_1_2_training\ngit commit -am "Search"',
        ),
    ),
    Criterion(
        "request",
        "There is a pull request from your branch to integration.",
        _request,
        "A pull request is where a change is tested and read, before it is everybody's.",
        (
            "integration accepts no push. How does your branch get there?",
            "`workshop devops pr create` needs a source and a target.",
            "git push workshop dev-ana\nworkshop devops pr create --source dev-ana --target integration",
        ),
        _REQUESTS,
    ),
    Criterion(
        "merged",
        "The pull request from your branch to integration is merged.",
        _merged,
        "The merge was tested before it happened: what is on integration has run.",
        (
            "A pull request can be completed when the test of its merge has succeeded. `workshop devops pr "
            "list` shows the open ones.",
            "`workshop devops pr complete N --wait` waits for the test, then merges.",
            "workshop devops pr list\nworkshop devops pr complete N --wait",
        ),
        _REQUESTS,
    ),
    Criterion(
        "integrated",
        "The merge has started CI, and it succeeded.",
        _integrated,
        "CI runs all notebooks together, on all rows, from the merged commit: what worked alone works together.",
        (
            "CI starts by itself for a change to 1_1, 1_2, 1_3 or their code. `workshop devops runs` lists the runs.",
            "Wait for CI with `workshop devops watch`; if it failed, the page of the run has the reason.",
            "workshop devops watch --until-idle",
        ),
        _RUNS,
    ),
    Criterion(
        "staged",
        "The version from this run of CI took Staging.",
        _staged,
        "Better on test wines is enough for Staging; Production needs a comparison on wines that were used "
        "for no choice.",
        (
            "`workshop history` lists which version took which slot, and from which run.",
            "Only a model that is better than the one in Production takes Staging: it needs the search of Part 4.",
            "workshop devops watch --until-idle\nworkshop history",
        ),
        _RUNS,
    ),
    Criterion(
        "proposed",
        "CI opened the pull request to main.",
        _proposed,
        "The description has the decision and its figures, so the reviewer sees what the merge would deliver.",
        (
            "The last step of CI proposes a better model to main. `workshop devops pr list` shows it.",
            "If CI was not better, or its last step failed, there is no pull request: look at the run's page.",
            "workshop devops pr list",
        ),
        _RUNS,
    ),
    Criterion(
        "stopped",
        "CI on a merge of yours has failed, since the model was not better.",
        _stopped,
        "A red CI can be the right result: nothing that is not better goes on to main.",
        (
            "What does CI do with a change to a text, which makes the same model again?",
            "Merge such a change into integration, and read what CI prints.",
            "# change a text of 1_1\n"
            'git commit -am "Reword 1_1"\ngit push workshop dev-ana\n'
            "workshop devops pr create --source dev-ana --target integration\n"
            "workshop devops pr complete N --wait\nworkshop devops watch --until-idle",
        ),
        _RUNS,
    ),
)
