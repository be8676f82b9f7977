"""Undefined variables of a pipeline: `$(…)` that would not be replaced, and variables that only the service has."""

import re
from contextlib import suppress
from typing import Any

from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence, walk
from azure_devops_local.language.expressions import references
from azure_devops_local.language.fields import hint
from azure_devops_local.language.predefined import ONLY_IN_AZURE, PREFIXES, SET_HERE
from azure_devops_local.language.values import ExpressionError

_MACRO = re.compile(r"\$\(([A-Za-z_][\w.\-]*)\)")
_SET = re.compile(r"##vso\[task\.setvariable\s[^\]]*?variable=([^;\]\s]+)")
# Without a default, as in ${NAME-default}.
_SHELL = re.compile(r"\$(?:\{([A-Z_]+)(?!:?[-+=?])[^A-Z_]|([A-Z_]+))")
_AT_RUN_TIME = re.compile(r"\s*\$\[(.*)\]\s*", re.DOTALL)
_SCRIPTS = {"script", "bash", "inlineScript"}
_WITHOUT_MACROS = {"trigger", "pr", "schedules", "pool"}
_IN_SHELLS = {name.upper().replace(".", "_"): name for name in ONLY_IN_AZURE}


def refuse(tree: Mapping, groups: bool) -> None:
    """Raise a PipelineError for the first undefined variable of an expanded pipeline.

    In scripts, where `$(pwd)` runs a command, only names such as `Build.X` are checked; with variable groups, which may
    define any other name, this holds for the whole pipeline.
    """
    shared = set(SET_HERE)
    for step, _ in walk(tree, tree.place):
        if isinstance(step, Mapping):
            inputs: Any = step.get("inputs")
            inputs = inputs if isinstance(inputs, Mapping) else {}
            texts = [text for text in (*step.values(), *inputs.values()) if isinstance(text, str)]
            outputs = [name for text in texts for name in _SET.findall(text)] + [inputs.get("cacheHitVar", "")]
            shared |= {*outputs, *(f"{step.get('name')}.{name}" for name in outputs)}
    for key in tree:
        if key not in {"name", *_WITHOUT_MACROS}:
            _check(tree[key], tree.places[key], key, shared | _defined(tree), groups)


def _defined(tree: Mapping) -> set[str]:
    strategy = tree.get("strategy")
    matrix = strategy.get("matrix") if isinstance(strategy, Mapping) else None
    legs = matrix.values() if isinstance(matrix, Mapping) else ()
    return _named(tree).union(*(set(leg) for leg in legs if isinstance(leg, Mapping)))


def _named(tree: Mapping) -> set[str]:
    variables = tree.get("variables")
    if isinstance(variables, Sequence):
        return {item["name"] for item in variables if "name" in item}
    return set(variables) if isinstance(variables, Mapping) else set()


def _check(tree: Any, place: Place, key: str, known: set[str], lenient: bool) -> None:
    if isinstance(tree, Mapping):
        known = known | _defined(tree)
        for inner, value in tree.items():
            if inner not in _WITHOUT_MACROS:
                _check(value, tree.places[inner], inner, known, lenient or inner in _SCRIPTS)
    elif isinstance(tree, Sequence):
        for value, at in tree.entries():
            _check(value, at, key, known, lenient)
    else:
        _check_text(tree, place, key, known, lenient)


def _check_text(text: str, place: Place, key: str, known: set[str], lenient: bool) -> None:
    expression = _AT_RUN_TIME.fullmatch(text)
    names = [] if key == "condition" else [name for name in _MACRO.findall(text) if not lenient or _is_reserved(name)]
    if key == "condition" or expression:
        with suppress(ExpressionError):  # conditions are correct by now; this is a variable of that name
            named = references(expression[1] if expression else text)
            names += sorted(name for root, name in named if root == "variables" and _is_reserved(name))
    if key in _SCRIPTS:
        used = [match[1] or match[2] for match in _SHELL.finditer(text)]
        names += [_IN_SHELLS[name] for name in used if name in _IN_SHELLS]
    lower = {name.lower() for name in known} if names else known  # most texts have none
    for name in names:
        if name.lower() not in lower:
            raise PipelineError(place, f"the variable `{name}` {_reason(name, known)}")


def _reason(name: str, known: set[str]) -> str:
    """Return the end of a sentence about a variable that is not set."""
    if name.lower() in {other.lower() for other in ONLY_IN_AZURE}:
        return "exists only in Azure DevOps: remove it to run the pipeline here."
    close = hint(name, known)
    return f"is not defined{close if 'did you mean' in close else ': add it to `variables:`.'}"


def _is_reserved(name: str) -> bool:
    return name.lower().startswith(PREFIXES)
