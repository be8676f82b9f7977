"""What runs after what, whether it runs, and how the whole ended: results and conditions."""

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
    """What later stages and jobs may know of one that is over."""

    name: str
    result: Result = "skipped"
    outputs: dict[str, str] = field(default_factory=dict)
    """Output variables: `step.variable` of a job, `job.step.variable` of a stage."""
    jobs: dict[str, "Done"] = field(default_factory=dict)
    """Of a stage; by name in lower case, as everywhere."""
    before: dict[str, "Done"] = field(default_factory=dict)
    """All that it depends on, also through others."""

    def for_expressions(self) -> dict[str, Any]:
        """As `dependencies.NAME` has it."""
        return {"result": azure_name(self.result), "outputs": self.outputs}


def azure_name(result: Result) -> str:
    """Return a result as expressions and variables write it: `SucceededWithIssues`."""
    return _NAMES.get(result, result.capitalize())


def worst(results: Iterable[Result]) -> Result:
    """How a whole ended of which the parts ended so; what was skipped counts only where everything was."""
    return min(results, key=_WORST_FIRST.index, default="skipped")


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Each after all that it depends on, otherwise as they are written; that there is no circle is known."""
    ordered: list[Part] = []
    waiting = list(parts)
    while waiting:
        over = {part.name.lower() for part in ordered}
        ready = next(part for part in waiting if over.issuperset(name.lower() for name in part.depends_on))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def named(names: Iterable[str], done: Mapping[str, Done]) -> dict[str, Done]:
    """Those with these names."""
    return {name.lower(): done[name.lower()] for name in names}


def all_before(names: Iterable[str], done: Mapping[str, Done]) -> dict[str, Done]:
    """Those with these names, and all that they depend on."""
    found: dict[str, Done] = {}
    for name, one in named(names, done).items():
        found |= {**one.before, name: one}
    return found


def functions(before: Mapping[str, Done]) -> dict[str, Callable[..., bool]]:
    """Return the functions of a stage's or a job's condition that depend on what came before.

    Without names they ask about all that it depends on, also through others; a name that it doesn't depend on is as
    good as skipped.
    """

    def results(names: tuple[Any, ...]) -> list[Result]:
        chosen = [before.get(str(name).lower(), Done("")) for name in names] if names else before.values()
        return [one.result for one in chosen]

    return {
        "always": lambda: True,
        "canceled": lambda: "canceled" in results(()),
        "succeeded": lambda *names: all(result in _GOOD for result in results(names)),
        "failed": lambda *names: "failed" in results(names),
        "succeededorfailed": lambda *names: (
            any(result in (*_GOOD, "failed") for result in results(names))
            if names
            else "canceled" not in results(names)
        ),
    }
