"""Part 1: three notebooks instead of a long one, and a run name of one's own."""

import re

from workshop.course.criterion import (
    Criterion,
    Finding,
    a_branch,
    a_team,
    met,
    not_yet,
    suggested_branch,
    written_otherwise,
)
from workshop.course.facts import (
    EVALUATION,
    INTEGRATION,
    MAIN,
    NOTEBOOKS,
    PREPARATION,
    SCORING,
    TRAINING,
    Cell,
    Facts,
    Notebook,
)

_RUN_NAME = re.compile(r"""^run_name\b[^=\n]*=\s*(["'])(.*?)\1""", re.MULTILINE)
_PARAMETERS = "parameters"


def _branch(facts: Facts) -> Finding:
    clone, team, name = facts.clone, a_team(facts), a_branch(facts)
    if name in {MAIN, INTEGRATION}:
        return not_yet(
            f"{name} is the team's: run `git switch --no-track -c {suggested_branch(facts)} workshop/integration`."
        )
    if not name.startswith("dev-"):
        other = f"dev-{name.lower().removeprefix('dev').strip('-_/')}"
        return not_yet(f"Your branch is {name}, and the name must begin with dev-: run `git branch -m {name} {other}`.")
    if name == "dev-":
        return not_yet(f"Your branch is dev-, without a name after it: run `git branch -m {suggested_branch(facts)}`.")
    if name != name.lower():
        return not_yet(f"Your branch {name} has capital letters: run `git branch -m {name} {name.lower()}`.")
    if name not in clone.branches:
        if name in team.branches:
            return not_yet(f"{name} is in the team's repository, but not in this clone: run `git switch {name}`.")
        return not_yet(f"Neither this clone nor the team has a branch {name}: run `git switch -c {name}`.")
    if name in clone.outdated:
        return not_yet(
            f"{name} does not begin at the team's integration: run `git switch {name}`, then "
            "`git rebase workshop/integration`."
        )
    at = "is checked out" if clone.current in facts.person.branches else f"exists, and {clone.current} is checked out"
    return met(f"{name} {at}; it begins at the team's integration.")


def _prepared(facts: Facts) -> Finding:
    name, home = a_branch(facts), facts.home
    written = {table.removeprefix("prepared/") for table in home.tables if table.startswith("prepared/")}
    if own := sorted(written & facts.person.run_names):
        return met(f"The table prepared/{own[-1]} is in {home.path}.")
    return not_yet(f"{_wrong_name(written, facts, 'The tables of prepared wines')}: {_set_and_run(name, PREPARATION)}")


def _candidate(facts: Facts) -> Finding:
    name, versions = a_branch(facts), facts.registry.versions
    own = [version for version in versions if version.run_name in facts.person.run_names]
    if own:
        return met(f"Version {own[-1].number} is registered under the run name {own[-1].run_name}.")
    found = _wrong_name({version.run_name for version in versions}, facts, "The versions in the registry")
    return not_yet(f"{found}: {_set_and_run(name, TRAINING)}")


def _judged(facts: Facts) -> Finding:
    name, registry = a_branch(facts), facts.registry
    own = [version.number for version in registry.versions if version.run_name in facts.person.run_names]
    if not own:
        return not_yet(f"No version is registered under {name}, so there is nothing to decide on: run 1_2 first.")
    decided = [event for event in registry.events if event.version in own and event.run_name in facts.person.run_names]
    if decided:
        return met(f"The history has a {decided[-1].kind} of version {decided[-1].version}.")
    others = [event.run_name or "no run name" for event in registry.events if event.version == own[-1]]
    seen = f" under {name}, only one under {others[-1]}" if others else ""
    return not_yet(f"The history has no decision on version {own[-1]}{seen}: {_set_and_run(name, EVALUATION)}")


def _restored(facts: Facts) -> Finding:
    a_branch(facts)
    clone, names = facts.clone, facts.person.run_names
    if not any(version.run_name in names for version in facts.registry.versions):
        return not_yet("No version has your run name yet: run 1_1 to 1_3 first, and restore the notebooks afterwards.")
    for notebook in (PREPARATION, TRAINING, EVALUATION, SCORING):
        if problem := _run_name_left(notebook, clone.working.get(notebook)):
            if f"{NOTEBOOKS}{notebook}.ipynb" in clone.modified:
                return not_yet(f"{problem} in your folder: run `git restore src/workshop/notebooks`.")
            return not_yet(f"{problem} on {clone.current}: set run_name to an empty text again, and commit.")
    for branch, notebooks in clone.committed.items():
        for notebook, cells in notebooks.items():
            if notebook.startswith("part_1_") and (problem := _run_name_left(notebook, cells)):
                return not_yet(f"{problem} on {branch}: set run_name to an empty text again, and commit.")
    return met('The notebooks have an empty run_name again, which a run fills in with "--run-name".')


def _run_name_left(name: str, cells: Notebook) -> str:
    """Return what is wrong with the parameters of a notebook; empty if nothing is."""
    if cells is None:
        return f"{name} can't be read"
    tagged: list[Cell] = [cell for cell in cells if _PARAMETERS in cell.tags]
    if not tagged:
        return f"{name} has no cell tagged parameters"
    found = _RUN_NAME.search(tagged[0].source)
    if found is None:
        return f"The parameters cell of {name} sets no run_name"
    return f'{name} has run_name "{found[2]}"' if found[2] else ""


def _wrong_name(found: set[str], facts: Facts, what: str) -> str:
    """Return which run names were found instead of the participant's."""
    name, others = facts.person.branch, sorted(found - {"", "no_name"})
    if written := written_otherwise(found, name):
        return f"{what} include {written}, which {name} with capital letters gives"
    if others:
        return f"{what} have the run name {', '.join(others)}, not {name}"
    if "no_name" in found:
        return f"{what} have the run name no_name only, which an empty run_name gives"
    return f"{what} do not exist yet"


def _set_and_run(name: str, notebook: str) -> str:
    return f'set run_name = "{name}" in {notebook}, and run all its cells (`workshop lab`).'


CRITERIA = (
    Criterion(
        "branch",
        "You have a branch of your own, `dev-<name>`, from `integration`.",
        _branch,
        "Your work is apart from that of others until a pull request brings it together.",
        (
            "main and integration take pull requests only. Where does your work go until then?",
            "`git switch -c NAME START` makes a branch; START is the team's integration.",
            "git fetch workshop\ngit switch --no-track -c dev-ana workshop/integration",
        ),
    ),
    Criterion(
        "prepared",
        "1_1 has written a table under your run name.",
        _prepared,
        "With a run name, a whole class works in one place, and no table is overwritten by another person.",
        (
            "The first cell of the notebook has a parameter that keeps your files apart. What is in it?",
            "Set run_name to the name of your branch in the parameters cell of 1_1, and run all cells.",
            "workshop run --notebooks 1_1 --run-name dev-ana",
        ),
    ),
    Criterion(
        "candidate",
        "1_2 has registered a version under your run name.",
        _candidate,
        "A registered version has a number, its signature and the commit of its "
        "code, but no slot: it serves no caller.",
        (
            "1_2 reads the table of its run name: use the same run name as in 1_1.",
            "Set run_name in the parameters cell of 1_2 to the same text as in 1_1, and run all cells.",
            "workshop run --notebooks 1_1,1_2 --run-name dev-ana",
        ),
    ),
    Criterion(
        "judged",
        "1_3 has decided on your version.",
        _judged,
        "Better or not better: both are a result. The decision and its figures stay in the history.",
        (
            "1_3 takes the newest version of its run name. `workshop history` lists the decisions.",
            "Set run_name in the parameters cell of 1_3 as in the other two, and run all cells, the last one included.",
            "workshop run --run-name dev-ana",
        ),
    ),
    Criterion(
        "restored",
        "The notebooks are the same as in the last commit: no run name is left in a parameters cell.",
        _restored,
        "A pipeline passes the run name from outside. A name in the file would be everybody's after the merge.",
        (
            "What would happen to the others if your run name got into integration?",
            "Git can bring back the files of the last commit.",
            "git restore src/workshop/notebooks",
        ),
    ),
)
