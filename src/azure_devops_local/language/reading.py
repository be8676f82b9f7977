"""Pipelines from files; whatever the agent cannot run is refused here."""

import re
from collections.abc import Mapping as Values
from collections.abc import Sequence as Ordered
from graphlib import CycleError, TopologicalSorter
from typing import Any

from azure_devops_local.language import fields, pools, schedules, undefined_variables
from azure_devops_local.language.documents import Files, Mapping, PipelineError, Place, Sequence
from azure_devops_local.language.pipeline import Group, Job, Pipeline, Scope, Stage, Step, Variable
from azure_devops_local.language.reading_steps import step
from azure_devops_local.language.templates import expand

_WORK = ("stages", "jobs", "steps")
PIPELINE_KEYS = ("name", "trigger", "pr", "schedules", "pool", "variables", "lockBehavior", "extends", *_WORK)
ROOT_JOB_KEYS = ("continueOnError", "workspace", "strategy")
"""Keys of the only job, beside the `steps` of a pipeline."""
STAGE_KEYS = ("stage", "displayName", "dependsOn", "condition", "variables", "jobs", "pool", "lockBehavior")
JOB_KEYS = (
    "displayName",
    "dependsOn",
    "condition",
    "continueOnError",
    "timeoutInMinutes",
    "variables",
    "pool",
    "workspace",
)
_LOCKS = ("sequential",)
_AT_RUN_TIME = re.compile(r"\$\[(.*)\]", re.DOTALL)


def read_pipeline(files: Files, path: str, given: Values[str, str], predefined: Values[str, str]) -> Pipeline:
    """Read a pipeline's file with all that it includes.

    Args:
        files: one state of the repository.
        path: the file, from the repository's root.
        given: the parameters of this run; the others have their defaults.
        predefined: variables that are set before the run: `Build.SourceBranch`, …

    Raises:
        UsageError: a given parameter is not declared or has a wrong value, or a required one is not given.
        PipelineError: something in the files is wrong or not implemented, at its place.
    """
    tree, parameters = expand(files, path, given, predefined)
    fields.only(tree, "a pipeline", (*PIPELINE_KEYS, *(ROOT_JOB_KEYS if "steps" in tree else ())))
    if tree.get("pr", "none") != "none":
        problem = "Azure Repos ignores `pr:`: remove it, and set a build-validation policy on the target branch."
        raise tree.error("pr", problem)
    pool = pools.read(tree)
    fields.one_of(tree, "lockBehavior", _LOCKS)
    schedules.read(tree)
    stages = _stages(_with_stages(tree), pool)
    read = Pipeline(path, stages, parameters, _variables(tree, ()), fields.text(tree, "name"))
    undefined_variables.refuse(tree, bool(read.groups))
    return read


def _with_stages(tree: Mapping) -> Mapping:
    """Return the pipeline with the stage and the job that the file leaves out."""
    work = [key for key in _WORK if key in tree]
    if len(work) != 1:
        place = tree.places[work[1]] if work else tree.place
        raise PipelineError(place, "a pipeline has exactly one of `stages`, `jobs` and `steps`.")
    place = tree.places[work[0]]
    for inner, outer, kind, name in (("steps", "jobs", "job", "Job"), ("jobs", "stages", "stage", "__default")):
        if inner in tree:
            moved = [entry for entry in tree.entries() if entry[0] in {inner, *ROOT_JOB_KEYS}]
            holder = Mapping(place, [(kind, name, place), *moved])
            tree = Mapping(tree.place, [(outer, Sequence(place, [(holder, place)]), place)])
    return tree


def _stages(tree: Mapping, pool: str) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for item in fields.mappings(tree, "stages"):
        fields.only(item, "a stage", STAGE_KEYS)
        fields.begins_with(item, "a stage", ("stage",))
        fields.one_of(item, "lockBehavior", _LOCKS)
        name = fields.name(item, "stage", "Stage", [stage.name for stage in stages])
        before = tuple(stage.name for stage in stages[-1:])
        depends_on = fields.names(item, "dependsOn") if "dependsOn" in item else before
        stage_pool = pools.read(item) or pool
        jobs: list[Job] = []
        for job in fields.mappings(item, "jobs"):
            jobs.append(_job(job, [other.name for other in jobs], stage_pool))
        _order(jobs, fields.mappings(item, "jobs"))
        stages.append(
            Stage(
                name=name,
                display_name=fields.text(item, "displayName") or name,
                jobs=tuple(jobs),
                depends_on=depends_on,
                condition=fields.condition(item, {"dependencies": depends_on}),
                variables=_variables(item, ("stageDependencies",)),
            )
        )
    _order(stages, fields.mappings(tree, "stages"))
    return tuple(stages)


def _job(item: Mapping, taken: list[str], pool: str) -> Job:
    deploys = "deployment" in item
    further = ("deployment", "environment", "strategy") if deploys else ("job", "steps", "strategy")
    fields.only(item, "a deployment job" if deploys else "a job", (*JOB_KEYS, *further))
    fields.begins_with(item, "a job", ("job", "deployment"))
    workspace = fields.mapping(item, "workspace")
    fields.only(workspace, "`workspace`", ("clean",))
    fields.one_of(workspace, "clean", ("outputs", "resources", "all"))  # each job begins in an empty folder
    name = fields.name(item, "deployment" if deploys else "job", "Job", taken)
    steps: list[Step] = []
    for tree in fields.mappings(_deployed(item) if deploys else item, "steps"):
        steps.append(step(tree, [other.name for other in steps if other.name]))
        if sum(one.kind == "checkout" for one in steps) > 1:
            raise PipelineError(tree.place, "this agent checks out once in a job: remove the second `checkout`.")
    if not deploys and not any(one.kind == "checkout" for one in steps):
        steps.insert(0, Step("checkout", "Checkout", inputs={"checkout": "self"}))
    depends_on = fields.names(item, "dependsOn")
    return Job(
        name=name,
        display_name=fields.text(item, "displayName") or name,
        steps=tuple(one for one in steps if "none" not in {one.inputs.get("checkout"), one.inputs.get("download")}),
        depends_on=depends_on,
        condition=fields.condition(item, {"dependencies": depends_on, "stageDependencies": None}),
        variables=_variables(item, ("dependencies", "stageDependencies")),
        timeout_minutes=fields.whole_number(item, "timeoutInMinutes", 60),
        continue_on_error=fields.flag(item, "continueOnError"),
        environment=_environment(item) if deploys else "",
        matrix={} if deploys else _matrix(item),
        pool=pools.read(item) or pool,
        finds_artifacts=deploys and not any(one.inputs.get("download") == "none" for one in steps),
    )


def _matrix(item: Mapping) -> dict[str, Scope]:
    """Return the variables of each leg of a job's matrix, by its name."""
    if "strategy" not in item:
        return {}
    strategy = fields.mapping(item, "strategy")
    fields.only(strategy, "`strategy`", ("matrix", "maxParallel"))
    fields.whole_number(strategy, "maxParallel")  # the legs run one after the other
    if str(strategy.get("matrix", "")).lstrip().startswith("$["):
        raise strategy.error("matrix", "a matrix that is computed at run time is not implemented by this agent.")
    matrix = fields.mapping(strategy, "matrix")
    if not matrix:
        raise item.error("strategy", "`matrix` has a name and variables for each job: add them.")
    legs: dict[str, Scope] = {}
    for name in matrix:
        leg = fields.mapping(matrix, name)
        given = Mapping(leg.place, [("name", name, matrix.places[name]), ("variables", leg, matrix.places[name])])
        legs[fields.name(given, "name", "", legs)] = _variables(given, ("dependencies", "stageDependencies"))
    return legs


def _deployed(item: Mapping) -> Mapping:
    for key, inner in (("strategy", "runOnce"), ("runOnce", "deploy"), ("deploy", "steps")):
        item = fields.mapping(item, key)
        fields.only(item, f"`{key}`", (inner,))
    return item


def _environment(item: Mapping) -> str:
    given = item.get("environment")
    if isinstance(given, Mapping):
        fields.only(given, "`environment`", ("name",))
        given = fields.text(given, "name")
    elif isinstance(given, str) and "." in re.sub(r"\$\([^()]*\)", "", given):
        problem = f"`{given}` is a resource of an environment, which is not implemented: name only the environment."
        raise item.error("environment", problem)
    if not isinstance(given, str) or not given:
        raise item.error("environment", "a deployment job needs `environment: NAME`: add it.")
    return given


def _variables(tree: Mapping, roots: tuple[str, ...]) -> Scope:
    """Return the variables and variable groups of a pipeline, stage or job, whose `$[ ]` may have these names."""
    given: Any = tree.get("variables") or Mapping(tree.place)
    if isinstance(given, Mapping):
        places = given.places
        return tuple(
            Variable(name, _at_run_time(fields.text(given, name), places[name], roots), written=True) for name in given
        )
    scope: list[Variable | Group] = []
    for item in fields.mappings(tree, "variables"):
        if "group" in item:
            fields.only(item, "a variable group", ("group",))
            scope.append(Group(fields.text(item, "group")))
            continue
        fields.only(item, "a variable", ("name", "value", "readonly"))
        fields.begins_with(item, "a variable", ("name",))
        name = fields.text(item, "name")
        if not name or "value" not in item:
            raise PipelineError(item.place, "a variable has a `name` and a `value`.")
        value = _at_run_time(fields.text(item, "value"), item.place, roots)
        scope.append(Variable(name, value, written=True, read_only=fields.flag(item, "readonly")))
    return tuple(scope)


def _at_run_time(value: str, place: Place, roots: tuple[str, ...]) -> str:
    """Return the value of a variable, whose `$[ ]` is checked."""
    if "$[" in value:
        whole = _AT_RUN_TIME.fullmatch(value.strip())
        if whole is None:
            raise PipelineError(place, "`$[ ]` has to be the whole value: use format() in it to add text.")
        fields.expression(whole[1], place, dict.fromkeys(roots))
    return value


def _order(ones: Ordered[Stage | Job], items: list[Mapping]) -> None:
    """Refuse a dependency that is unknown or circular."""
    known = {one.name.lower(): one.name for one in ones}
    trees = {one.name: item for one, item in zip(ones, items, strict=True)}
    for one in ones:
        for other in one.depends_on:
            if other.lower() not in known:
                problem = f"`dependsOn` names `{other}`, which does not exist{fields.hint(other, list(known.values()))}"
                raise trees[one.name].error("dependsOn", problem)
    try:
        TopologicalSorter({one.name: [known[other.lower()] for other in one.depends_on] for one in ones}).prepare()
    except CycleError as error:
        circle = list(error.args[1])
        problem = f"`dependsOn` is circular ({' → '.join(circle)}): remove one of these."
        raise trees[circle[0]].error("dependsOn", problem) from error
