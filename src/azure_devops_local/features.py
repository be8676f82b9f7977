"""The feature table of the README: `python -m azure_devops_local.features` prints it."""

from collections.abc import Iterable

from azure_devops_local.agent import logging_commands
from azure_devops_local.language import functions, parameters, reading, reading_steps
from azure_devops_local.language.expressions import STATUS_FUNCTIONS


def table() -> str:
    """Return the table of implemented features in Markdown; everything else is refused."""
    names = (*functions.LAZY_FUNCTIONS, *functions.FUNCTIONS)
    rows = {
        "keys of a pipeline": reading.PIPELINE_KEYS,
        "further keys of a pipeline with `steps`": reading.ROOT_JOB_KEYS,
        "keys of a stage": reading.STAGE_KEYS,
        "keys of a job": (*reading.JOB_KEYS, "job", "steps", "strategy"),
        "keys of a deployment job": (*reading.JOB_KEYS, "deployment", "environment", "strategy"),
        "keys of every step": reading_steps.STEP_KEYS,
        **{f"further keys of `{kind}`": keys for kind, (_, keys) in reading_steps.STEP_KINDS.items()},
        **{f"inputs of {task}": map(_input, inputs.items()) for task, inputs in reading_steps.TASKS.items()},
        "types of parameters": parameters.TYPES,
        "functions of expressions": sorted(names),
        "functions of conditions": STATUS_FUNCTIONS,
        "logging commands": logging_commands.implemented(),
    }
    lines = [f"| {name} | {_listed(values)} |" for name, values in rows.items()]
    return "\n".join(["| what | implemented |", "|---|---|", *lines])


def _input(item: tuple[str, str]) -> str:
    """Return the name of an input, with its value if only one is implemented."""
    name, only = item
    return f"{name.removesuffix('!')}: {only}" if only else name.removesuffix("!")


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    print(table())
