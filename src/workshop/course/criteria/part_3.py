"""Part 3: a push is tested."""

from workshop.course.criterion import Criterion, Finding, a_branch, a_team, met, not_yet
from workshop.course.facts import INTEGRATION, MAIN, NOTEBOOKS, PREPARATION, Change, Facts, PipelineRun

UNIT_TEST = "workshop_unit_test.yml"
_FILE = f"{NOTEBOOKS}{PREPARATION}.ipynb"
_RUNS = ("runs",)


def _changed(facts: Facts) -> Finding:
    name = a_branch(facts)
    if own := _own_changes(facts):
        return met(f"The commit {own[-1].commit[:8]} of yours changes 1_1.")
    clone = facts.clone
    if _FILE in clone.modified:
        return not_yet(
            f'1_1 is changed in your folder, but not committed: run `git commit -am "Reword 1_1"` on {name}.'
        )
    elsewhere = [change for change in clone.changes if _FILE in change.files]
    for change in elsewhere:
        branch = min(change.local | change.pushed, default="")
        if branch in {MAIN, INTEGRATION}:
            return not_yet(
                f"Your commit {change.commit[:8]} is on {branch}, and not on {name}: "
                f"run `git switch {name}`, then `git cherry-pick {change.commit[:8]}`."
            )
        return not_yet(
            f"The commit {change.commit[:8]}, which changes 1_1, is on {branch}: run `git switch {name}`, then "
            f"`git cherry-pick {change.commit[:8]}`."
        )
    if other := sorted({file for change in _of(facts) for file in change.files}):
        return not_yet(f"Your commits on {name} change {other[0]}, and not 1_1: change {_FILE}, and commit.")
    return not_yet(f"No commit on {name} changes 1_1: change a text in {_FILE}, and commit.")


def _pushed(facts: Facts) -> Finding:
    name, team, own = a_branch(facts), a_team(facts), _own_changes(facts)
    if not own:
        return not_yet(f"There is no commit of yours to push that changes 1_1: change it on {name}, and commit.")
    arrived = [change for change in own if change.pushed & facts.person.branches]
    if arrived:
        return met(f"The team's branch {min(arrived[-1].pushed & facts.person.branches)} has {arrived[-1].commit[:8]}.")
    if name in team.strangers:
        return not_yet(
            f"The team's {name} has commits of {team.strangers[name]}: choose another name with "
            f"`git branch -m {name}-2`, then run `git push workshop {name}-2`."
        )
    if where := min(own[-1].pushed, default=""):
        return not_yet(f"Your commit {own[-1].commit[:8]} is on the team's {where}: run `git push workshop {name}`.")
    if any(branch.lower() == name.lower() for branch in team.branches if branch != name):
        return not_yet(
            f"The team has your branch with other capital letters, without this commit: run `git push workshop {name}`."
        )
    if name in team.branches:
        return not_yet(
            f"The team's {name} is older than your commit {own[-1].commit[:8]}: run `git push workshop {name}`."
        )
    return not_yet(f"The team's repository has no branch {name}: run `git push workshop {name}`.")


def _triggered(facts: Facts) -> Finding:
    name, runs = a_branch(facts), _tests(facts)
    mine = [run for run in runs if run.after_a_push and _has_change(facts, run.commit)]
    if mine:
        return met(f"Your push of {mine[-1].commit[:8]} started run {mine[-1].number} of {UNIT_TEST}.")
    if by_hand := [run for run in runs if run.by_hand]:
        return not_yet(f"Run {by_hand[-1].number} was started by hand, not by a push: run `git push workshop {name}`.")
    if runs:
        return not_yet(
            f"Run {runs[-1].number} tested a push without your change of 1_1: commit "
            f"it, then `git push workshop {name}`."
        )
    if others := [run for run in a_team(facts).runs if run.pipeline == UNIT_TEST]:
        return not_yet(f"{UNIT_TEST} ran for {others[-1].branch}, not for {name}: run `git push workshop {name}`.")
    return not_yet(
        f"{UNIT_TEST} has not run for {name}: see why with "
        f"`workshop pipelines triggered --branch {name} --changed {_FILE}`, then run `git push workshop {name}`."
    )


def _failed(facts: Facts) -> Finding:
    name, runs = a_branch(facts), _tests(facts)
    failed = [run for run in runs if run.after_a_push and run.result == "failed"]
    if failed:
        return met(f"Run {failed[0].number} of {UNIT_TEST} failed: {failed[0].reason_of_failure}.")
    if going := [run for run in runs if run.state != "completed"]:
        return not_yet(f"Run {going[-1].number} has not ended: run `workshop devops watch --until-idle`.")
    if by_hand := [run for run in runs if run.result == "failed"]:
        return not_yet(f"Run {by_hand[-1].number} failed, but no push started it: run `git push workshop {name}`.")
    if canceled := [run for run in runs if run.result == "canceled"]:
        return not_yet(f"Run {canceled[-1].number} was canceled: run `workshop devops rerun {canceled[-1].number}`.")
    if runs:
        return not_yet(
            f"Each of the {len(runs)} unit tests of {name} succeeded: break a line of 1_1, commit, and run "
            f"`git push workshop {name}`."
        )
    return not_yet(f"{UNIT_TEST} has not run for {name}: run `git push workshop {name}`.")


def _mended(facts: Facts) -> Finding:
    name, runs = a_branch(facts), _tests(facts)
    failed = [run for run in runs if run.after_a_push and run.result == "failed"]
    if not failed:
        return not_yet(
            f"No unit test of a push to {name} has failed yet, so there is nothing to mend: break 1_1 first."
        )
    newest = runs[-1]
    if newest.state != "completed":
        return not_yet(f"Run {newest.number} has not ended: run `workshop devops watch --until-idle`.")
    if newest.result in {"succeeded", "succeeded with issues"}:
        return met(f"Run {newest.number}, the newest unit test of {name}, succeeded.")
    if newest.result == "canceled":
        return not_yet(f"Run {newest.number} was canceled: run `workshop devops rerun {newest.number}`.")
    if facts.clone.modified:
        return not_yet(
            f"Run {newest.number} failed, and your change is not committed: run `git commit -am Mend`, then "
            f"`git push workshop {name}`."
        )
    unpushed = [change for change in _of(facts) if not change.pushed]
    if unpushed:
        return not_yet(f"Your commit {unpushed[-1].commit[:8]} is not pushed: run `git push workshop {name}`.")
    return not_yet(f"Run {newest.number}, the newest, failed ({newest.reason_of_failure}): mend it, commit, and push.")


def _of(facts: Facts) -> list[Change]:
    return [change for change in facts.clone.changes if (change.local | change.pushed) & facts.person.branches]


def _own_changes(facts: Facts) -> list[Change]:
    """Return the participant's commits that change 1_1."""
    return [change for change in _of(facts) if _FILE in change.files]


def _tests(facts: Facts) -> list[PipelineRun]:
    """Return the unit tests of the participant's branches, oldest first."""
    own = facts.person.branches
    return [run for run in a_team(facts).runs if run.pipeline == UNIT_TEST and run.branch in own]


def _has_change(facts: Facts, commit: str) -> bool:
    return any(a_team(facts).contains(commit, change.commit) for change in _own_changes(facts))


CRITERIA = (
    Criterion(
        "changed",
        "A commit on your branch changes 1_1.",
        _changed,
        "A commit is the unit that everything else refers to: the test, the model, the promotion.",
        (
            "Change a sentence or a line of 1_1 in `workshop lab`, and save. What does `git status` show?",
            "`git commit -am` with a message commits the saved change; your branch must be checked out.",
            'git switch dev-ana\ngit commit -am "Reword 1_1"',
        ),
    ),
    Criterion(
        "pushed",
        "Your branch with this commit is in the team's repository.",
        _pushed,
        "A push brings your change to the team, and starts its pipelines.",
        (
            "A commit is on your machine only. Which command brings it to the team?",
            "Push your branch to the remote workshop.",
            "git push workshop dev-ana",
        ),
    ),
    Criterion(
        "triggered",
        "The push has started the unit test.",
        _triggered,
        "The trigger looks at the branch and at the changed files, so a change to the docs costs no test.",
        (
            "Which branches and files does the trigger of workshop_unit_test.yml name?",
            "`workshop pipelines triggered` prints what a push would start, and why the others would not.",
            "git push workshop dev-ana\nworkshop devops watch --until-idle",
        ),
        _RUNS,
    ),
    Criterion(
        "failed",
        "A push of yours has failed the unit test.",
        _failed,
        "You have seen what the team sees: the notebook, the cell and the error, minutes after the push.",
        (
            "A test that has never failed has shown nothing. What would break 1_1?",
            "Misspell a name in a cell of 1_1, commit, push, and read what `workshop devops watch` prints.",
            "# in 1_1: datasets.prepare → datasets.prepared\n"
            'git commit -am "Break 1_1"\ngit push workshop dev-ana\nworkshop devops watch --until-idle',
        ),
        _RUNS,
    ),
    Criterion(
        "mended",
        "After the failure, the newest unit test of your branch has succeeded.",
        _mended,
        "A red test is mended by the next commit: the history keeps both, and integration has seen neither.",
        (
            "Which cell failed, and with which error? `workshop devops watch` has printed both.",
            "Take the change back with a new commit, and push again.",
            "git revert --no-edit HEAD\ngit push workshop dev-ana\nworkshop devops watch --until-idle",
        ),
        _RUNS,
    ),
)
