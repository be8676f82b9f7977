"""Values out of a mapping of a pipeline file, each as what it has to be; anything else is refused at its place."""

import difflib
import re
from collections.abc import Collection
from typing import Any

from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence
from azure_devops_local.language.expressions import ExpressionError, check, references

STATUS_FUNCTIONS = ("succeeded", "failed", "always", "canceled", "succeededorfailed")
"""What a condition can call besides the functions of every expression."""
_ELSEWHERE = """
appendCommitMessageToRunName cancelTimeoutInMinutes canary container demands download downloadBuild extends getPackage
isSkippable matrix maxParallel on parallel path postRouteTraffic powershell preDeploy pwsh resources routeTraffic
retryCountOnTaskFailure reviewApp rolling schedules services strategy target templateContext uses workspace
"""
"""What Azure Pipelines knows and this agent does not: said so, rather than taken for a slip of the pen."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def hint(word: str, known: Collection[str]) -> str:
    """Return the end of a sentence on an unknown word."""
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}."


def only(tree: Mapping, known: Collection[str]) -> None:
    """Refuse any other key."""
    for key, place in tree.places.items():
        if key in known:
            continue
        if key in _ELSEWHERE.split():
            raise PipelineError(place, f"`{key}` is not implemented by this agent: take it out to run this here.")
        raise PipelineError(place, f"`{key}` is nothing that this agent implements{hint(key, known)}")


def one_of(tree: Mapping, key: str, values: Collection[str]) -> None:
    """Refuse a value that is there and is none of these."""
    if key in tree and tree[key] not in values:
        raise PipelineError(tree.places[key], f"`{key}` can only be {' or '.join(values)} here.")


def text(tree: Mapping, key: str) -> str:
    """Text; empty where there is none."""
    value = tree.get(key, "")
    if not isinstance(value, str):
        raise PipelineError(tree.places[key], f"`{key}` is text, not a list or a mapping.")
    return value


def flag(tree: Mapping, key: str, default: bool = False) -> bool:
    """Return a boolean."""
    value = text(tree, key).lower()
    if value not in {"", "true", "false"}:
        raise PipelineError(tree.places[key], f"`{key}` is true or false, not `{tree[key]}`.")
    return default if not value else value == "true"


def minutes(tree: Mapping, default: int) -> int:
    """Return the minutes in `timeoutInMinutes`; 0 is no limit."""
    value = text(tree, "timeoutInMinutes")
    if value and not re.fullmatch(r"\d{1,6}", value):
        raise PipelineError(tree.places["timeoutInMinutes"], f"`timeoutInMinutes` is a whole number, not `{value}`.")
    return int(value) if value else default


def mapping(tree: Mapping, key: str) -> Mapping:
    """Return a mapping; empty if the key is missing."""
    value = tree.get(key) or Mapping(tree.place_of(key))
    if not isinstance(value, Mapping):
        raise PipelineError(tree.places[key], f"`{key}` is a mapping: `name: value` lines, indented.")
    return value


def texts(tree: Mapping, key: str) -> dict[str, str]:
    """Return a mapping with nothing but text in it."""
    inner = mapping(tree, key)
    return {name: text(inner, name) for name in inner}


def mappings(tree: Mapping, key: str) -> list[Mapping]:
    """Return a list of mappings that may not be empty."""
    value = tree.get(key)
    if not isinstance(value, Sequence) or not value:
        raise PipelineError(tree.place_of(key), f"a list of `{key}` is needed here, with one or more in it.")
    for item, place in value.entries():
        if not isinstance(item, Mapping):
            raise PipelineError(place, f"each of the `{key}` is a mapping: `- name: value`.")
    return list(value)


def names(tree: Mapping, key: str) -> tuple[str, ...]:
    """One name, or a list of names."""
    value = tree.get(key) or []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise PipelineError(tree.places[key], f"`{key}` is a name or a list of names.")
    return tuple(listed)


def name(tree: Mapping, key: str, default: str, taken: Collection[str]) -> str:
    """Return a name that no sibling has; without one the default, numbered if needed."""
    place = tree.place_of(key)
    value = text(tree, key)
    if not value:
        free = (default if number == 1 else f"{default}{number}" for number in range(1, len(taken) + 2))
        return next(name for name in free if name not in taken)
    if not _NAME.fullmatch(value) and value != "__default":
        raise PipelineError(place, f"`{value}` is no name: use letters, digits and _, not beginning with a digit.")
    if value.lower() in {other.lower() for other in taken}:
        raise PipelineError(place, f"the name `{value}` is taken by another one above: choose a different one.")
    return value


def condition(tree: Mapping, roots: dict[str, Collection[str] | None]) -> str:
    """Return the condition; besides variables it may name these roots: name → names below it (None: any)."""
    value = text(tree, "condition") or "succeeded()"
    expression(value, tree.place_of("condition"), roots, STATUS_FUNCTIONS)
    return value


def expression(
    value: str, place: Place, roots: dict[str, Collection[str] | None], functions: Collection[str] = ()
) -> None:
    """Refuse an expression that could not be worked out when the run comes to it; see `condition`."""
    try:
        check(value, ("variables", *roots), functions)
        named = references(value)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error
    for root, wanted in sorted(named):
        known: Any = next((known for key, known in roots.items() if key.lower() == root), None)
        if known is not None and wanted.lower() not in {one.lower() for one in known}:
            raise PipelineError(
                place, f"`{root}.{wanted}` is empty here, because `dependsOn` does not name {wanted}: add it."
            )
