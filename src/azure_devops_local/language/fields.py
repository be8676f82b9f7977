"""Typed values from a mapping of a pipeline file; a value of another type is refused at its place."""

import difflib
import re
from collections.abc import Collection
from collections.abc import Mapping as Values

from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence
from azure_devops_local.language.expressions import ONLY_IN_TEMPLATES, STATUS_FUNCTIONS, calls, check, references
from azure_devops_local.language.values import ExpressionError

_NOT_IMPLEMENTED = """
appendCommitMessageToRunName cancelTimeoutInMinutes canary container downloadBuild errorActionPreference fetchFilter
getPackage ignoreLASTEXITCODE isSkippable on parallel path phases pool postRouteTraffic preDeploy resourceId
resourceName resourceType resources retryCountOnTaskFailure reviewApp rolling routeTraffic server services tags target
templateContext uses workspaceRepo
"""
"""Keys of Azure Pipelines that this agent does not implement, so that they are not reported as typing mistakes."""
_TRUE, _FALSE = ("true", "yes", "y", "on"), ("false", "no", "n", "off")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


Roots = dict[str, Collection[str] | None]


def hint(word: str, known: Collection[str]) -> str:
    """Return the end of a sentence about an unknown word."""
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean `{close[0]}`?" if close else f": use one of {', '.join(known)}."


def only(tree: Mapping, owner: str, known: Collection[str]) -> None:
    """Refuse any other key of `owner`, which is a noun for the sentence."""
    for key, place in tree.places.items():
        if key in known:
            continue
        if key in _NOT_IMPLEMENTED.split():
            raise PipelineError(place, f"`{key}` is not implemented by this agent: remove it to run the pipeline here.")
        raise PipelineError(place, f"`{key}` is not a key of {owner}{hint(key, known)}")


def begins_with(tree: Mapping, owner: str, keys: Collection[str]) -> None:
    """Refuse another first key of `owner`: Azure Pipelines tells by the first key what an entry is."""
    first = next(iter(tree), "")
    if first not in keys:
        raise tree.error(first, f"{owner} begins with {' or '.join(f'`{key}`' for key in keys)}: put it first.")


def one_of(tree: Mapping, key: str, values: Collection[str]) -> None:
    """Refuse any other value of a key; the key may be missing."""
    if key in tree and tree[key] not in values:
        raise tree.error(key, f"`{key}` can only be {' or '.join(values)} here.")


def text(tree: Mapping, key: str) -> str:
    """Return a text; empty if the key is missing."""
    value = tree.get(key, "")
    if not isinstance(value, str):
        raise tree.error(key, f"`{key}` is text, not a list or a mapping.")
    return value


def flag(tree: Mapping, key: str, default: bool = False) -> bool:
    """Return a boolean; the default if the key is missing or empty."""
    value = text(tree, key).lower()
    if value not in {"", *_TRUE, *_FALSE}:
        raise tree.error(key, f"`{key}` is true or false, not `{tree[key]}`.")
    return default if not value else value in _TRUE


def whole_number(tree: Mapping, key: str, default: int = 0) -> int:
    """Return a whole number; the default if the key is missing or empty."""
    value = text(tree, key)
    if value and not re.fullmatch(r"\d{1,6}", value):
        raise tree.error(key, f"`{key}` is a whole number, not `{value}`.")
    return int(value) if value else default


def mapping(tree: Mapping, key: str) -> Mapping:
    """Return a mapping; empty if the key is missing."""
    value = tree.get(key) or Mapping(tree.place_of(key))
    if not isinstance(value, Mapping):
        raise tree.error(key, f"`{key}` is a mapping: `name: value` lines, indented.")
    return value


def texts(tree: Mapping, key: str) -> dict[str, str]:
    """Return a mapping whose values are text."""
    inner = mapping(tree, key)
    return {name: text(inner, name) for name in inner}


def mappings(tree: Mapping, key: str) -> list[Mapping]:
    """Return a list of at least one mapping."""
    value = tree.get(key)
    if not isinstance(value, Sequence) or not value:
        raise tree.error(key, f"`{key}` is a list with at least one entry: begin each with `- `.")
    for item, place in value.entries():
        if not isinstance(item, Mapping):
            raise PipelineError(place, f"each entry of `{key}` is a mapping: `- name: value`.")
    return list(value)


def names(tree: Mapping, key: str) -> tuple[str, ...]:
    """Return the names in a value that is a name or a list of names."""
    value = tree.get(key) or []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise tree.error(key, f"`{key}` is a name or a list of names.")
    return tuple(listed)


def name(tree: Mapping, key: str, default: str, taken: Collection[str]) -> str:
    """Return a name that is not taken; if the key is missing, the default, with a number if needed."""
    place = tree.place_of(key)
    value = text(tree, key)
    if not value:
        free = (default if number == 1 else f"{default}{number}" for number in range(1, len(taken) + 2))
        return next(name for name in free if name not in taken)
    if not _NAME.fullmatch(value) and value != "__default":
        raise PipelineError(place, f"`{value}` is not a name: use letters, digits and _, and begin with a letter or _.")
    if value.lower() in {other.lower() for other in taken}:
        raise PipelineError(place, f"the name `{value}` is taken by an entry above: choose another.")
    return value


def condition(tree: Mapping, roots: Roots) -> str:
    """Return the condition of a step, job or stage, checked as an expression."""
    value = text(tree, "condition") or "succeeded()"
    depends = "dependencies" in roots  # those of steps take no names
    functions = {name: depends and takes_names for name, takes_names in STATUS_FUNCTIONS.items()}
    expression(value, tree.place_of("condition"), roots, functions)
    return value


def expression(value: str, place: Place, roots: Roots, functions: Values[str, bool] | None = None) -> None:
    """Refuse an expression that cannot be evaluated at run time.

    Args:
        value: the expression.
        place: where it stands.
        roots: the names that it may begin with besides `variables`, each with the names below it (None: any).
        functions: further functions, and whether they take arguments.
    """
    try:
        check(value, ("variables", *roots), functions)
        named, called = references(value), calls(value)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error
    for function in called.intersection(ONLY_IN_TEMPLATES):
        raise PipelineError(place, f"the function `{function}` exists only in `${{{{ }}}}`: move it there.")
    below = {root.lower(): names and {name.lower() for name in names} for root, names in roots.items()}
    for root, name in sorted(named):
        known = below.get(root)
        if known is not None and name.lower() not in known:
            problem = f"`{root}.{name}` is empty here, because `dependsOn` does not name {name}: add it."
            raise PipelineError(place, problem)
