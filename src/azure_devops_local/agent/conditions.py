"""Order, conditions and results of stages and jobs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from azure_devops_local.run_store import Result

_WORST_FIRST: tuple[Result, ...] = ("canceled", "failed", "succeeded with issues", "succeeded", "skipped")
_GOOD = ("succeeded", "succeeded with issues")
_NAMES = {"succeeded with issues": "SucceededWithIssues"}


class _Part(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def depends_on(self) -> tuple[str, ...]: ...


Part = TypeVar("Part", bound=_Part)


@dataclass
class Done:
    """A completed stage or job, as later conditions and expressions see it."""

    name: str
    result: Result = "skipped"
    outputs: dict[str, str] = field(default_factory=dict)
    """Output variables: `step.variable` of a job, `job.step.variable` of a stage."""
    jobs: dict[str, "Done"] = field(default_factory=dict)
    """The jobs of a stage, by name in lower case, as everywhere."""
    before: dict[str, "Done"] = field(default_factory=dict)
    """All direct and indirect dependencies."""

    def for_expressions(self) -> dict[str, Any]:
        """Return the value of `dependencies.NAME`."""
        return {"result": azure_name(self.result), "outputs": self.outputs}


def azure_name(result: Result) -> str:
    """Return a result as expressions and variables write it: `SucceededWithIssues`."""
    return _NAMES.get(result, result.capitalize())


def worst(results: Iterable[Result]) -> Result:
    """Return the result of a whole with these parts: the worst; "skipped" only if all were skipped."""
    found = ("failed" if result == "abandoned" else result for result in results)
    return min(found, key=_WORST_FIRST.index, default="skipped")


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Return the parts in the order of the file, but each after its dependencies, which have no cycle."""
    ordered: list[Part] = []
    waiting = list(parts)
    while waiting:
        done = {part.name.lower() for part in ordered}
        ready = next(part for part in waiting if done.issuperset(name.lower() for name in part.depends_on))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def named(names: Iterable[str], done: Mapping[str, Done]) -> dict[str, Done]:
    """Return the parts with these names."""
    return {name.lower(): done[name.lower()] for name in names}


def all_before(names: Iterable[str], done: Mapping[str, Done]) -> dict[str, Done]:
    """Return the parts with these names and their dependencies."""
    found: dict[str, Done] = {}
    for name, one in named(names, done).items():
        found |= {**one.before, name: one}
    return found


def functions(before: Mapping[str, Done]) -> dict[str, Callable[..., bool]]:
    """Return the status functions of a condition, given all direct and indirect dependencies.

    Without names they use all dependencies; a name that is not a dependency counts as skipped. After a dependency that
    was skipped or abandoned, `succeededOrFailed()` does not hold.
    """

    def results(names: tuple[Any, ...]) -> list[Result]:
        chosen = [before.get(str(name).lower(), Done("")) for name in names] if names else before.values()
        return [one.result for one in chosen]

    return {
        "always": lambda: True,
        "canceled": lambda: "canceled" in results(()),
        "succeeded": lambda *names: all(result in _GOOD for result in results(names)),
        "failed": lambda *names: "failed" in results(names),
        "succeededorfailed": lambda *names: (any if names else all)(
            result in (*_GOOD, "failed") for result in results(names)
        ),
    }
