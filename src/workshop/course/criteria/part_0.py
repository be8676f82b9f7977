"""Part 0: the set-up."""

from workshop.course.criterion import Criterion, Finding, met, not_yet
from workshop.course.facts import Facts

_TABLES = ("development", "production")


def _identity(facts: Facts) -> Finding:
    clone = facts.clone
    if not clone.user_name.strip():
        return not_yet('Git has no user.name for this clone: run `git config user.name "Ana"`.')
    if not clone.user_email.strip():
        return not_yet('Git has no user.email for this clone: run `git config user.email "ana@example.org"`.')
    if "@" not in clone.user_email:
        return not_yet(
            f"Git's user.email is {clone.user_email}, which is not an address: "
            'run `git config user.email "ana@example.org"`.'
        )
    return met(f"Git writes {clone.user_name} <{clone.user_email}> into your commits.")


def _filter(facts: Facts) -> Finding:
    clone = facts.clone
    if not clone.filter_set:
        return not_yet("The Git filter for notebooks is not set in this clone: run `make setup`.")
    if clone.filter_program:
        return not_yet(f"The Git filter calls {clone.filter_program}, which does not exist: run `make setup`.")
    for branch, notebooks in clone.committed.items():
        for name, cells in notebooks.items():
            if any(cell.has_outputs for cell in cells or ()):
                return not_yet(
                    f"The commit of {branch} has outputs in {name}: run `git add --renormalize .`, and commit."
                )
    return met("Git leaves the outputs of notebooks out of your commits.")


def _tables(facts: Facts) -> Finding:
    home = facts.home
    missing = [name for name in _TABLES if name not in home.tables]
    if not missing:
        return met(f"The tables development and production are in {home.path}.")
    if len(missing) == 1:
        return not_yet(
            f"{home.path} has no table {missing[0]}, only the other one: run `workshop run --notebooks 0` again."
        )
    return not_yet(f"{home.path} has no table of wine yet: run `make cd`.")


def _baseline(facts: Facts) -> Finding:
    registry = facts.registry
    if registry.production:
        return met(f"Version {registry.production} of wine_quality holds Production.")
    if registry.staging:
        return not_yet(f"Version {registry.staging} holds Staging, and no version holds Production: run `make cd`.")
    if registry.versions:
        newest = registry.versions[-1].number
        return not_yet(f"The newest version is {newest}, and no version holds Production: run `make cd`.")
    return not_yet("The registry has no version of wine_quality yet: run `make cd`.")


def _team(facts: Facts) -> Finding:
    clone, team = facts.clone, facts.team
    if team is None or not team.path:
        if clone.remote:
            return not_yet(
                f"The remote workshop leads to {clone.remote}, but this home has no team's repository: "
                "run `git remote remove workshop`, then `workshop devops start`."
            )
        return not_yet("The team's repository does not exist yet: run `workshop devops start`.")
    if not clone.remote:
        return not_yet(f"{team.path} exists, but this clone has no remote workshop: run `workshop devops start`.")
    if clone.remote != team.path:
        return not_yet(
            f"The remote workshop leads to {clone.remote}, and the team's repository is {team.path}: "
            "run `git remote rename workshop other`, then `workshop devops start`."
        )
    return met(f"The remote workshop of this clone is the team's repository, {team.path}.")


CRITERIA = (
    Criterion(
        "identity",
        "Git has your name and your e-mail address.",
        _identity,
        "A commit names its author, and the team's rules distinguish the author of a change from its reviewer.",
        (
            "A commit needs a name and an address. Which ones does Git have for this clone?",
            "Set user.name and user.email with `git config`, in this clone or with --global for all clones.",
            'git config user.name "Ana"\ngit config user.email "ana@example.org"',
        ),
    ),
    Criterion(
        "filter",
        "Git leaves the outputs of notebooks out of your commits.",
        _filter,
        "A commit then contains what you wrote and nothing that a run printed, so a review shows your change only.",
        (
            "After a notebook has run, its file contains tables and pictures. They must not get into a commit.",
            "`make setup` sets a Git filter in this clone; a new .venv or a moved clone needs it again.",
            "make setup",
        ),
    ),
    Criterion(
        "tables",
        "Both tables of wine exist: development and production.",
        _tables,
        "No model is trained on the production wines, so they show what a model does on wines that it has never seen.",
        (
            "The first run makes the tables from the two CSV files of the kit.",
            "`make cd` makes the tables, the first model, and delivers it; "
            "`workshop run --notebooks 0` only the tables.",
            "make cd",
        ),
    ),
    Criterion(
        "baseline",
        "A version of the model holds Production.",
        _baseline,
        "A new model is compared with the one in Production: without a baseline, any model would be good enough.",
        (
            "A slot is a name in the registry. `workshop status` shows which version holds which slot.",
            "The first delivery takes Production without a comparison: run it with `make cd`.",
            "make cd",
        ),
    ),
    Criterion(
        "team",
        "The team's repository exists, and your clone has it as the remote workshop.",
        _team,
        "A push to this remote starts the same pipelines as in Azure DevOps, on this machine and without an account.",
        (
            "The team's repository is a folder on this machine; `git remote -v` shows where your remotes lead.",
            "`workshop devops start`, in your clone, makes the repository and adds the remote.",
            "workshop devops start",
        ),
    ),
)
