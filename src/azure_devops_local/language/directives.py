"""The `${{ }}` of a file as text: directives such as `${{ if … }}:`, and the check of a whole file."""

import re
from collections.abc import Iterator
from typing import Any

from azure_devops_local.language import expressions
from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence
from azure_devops_local.language.predefined import REFUSED_IN_TEMPLATES
from azure_devops_local.language.values import ExpressionError

EXPRESSION = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|[^'])*?)\}\}", re.DOTALL)
_REFUSED = {name.lower() for name in REFUSED_IN_TEMPLATES}
_DIRECTIVE = re.compile(r"\s*(if|elseif|else|each|insert)\b(.*)", re.DOTALL)
_EACH = re.compile(r"\s*([A-Za-z_]\w*)\s+in\s+(.+)", re.DOTALL)


def directive(key: str, place: Place) -> tuple[str, str] | None:
    """Return the word of a directive and what follows it; None for another key."""
    whole = whole_expression(key)
    match = _DIRECTIVE.fullmatch(whole) if whole is not None else None
    if match is None:
        return None
    word, rest = match[1], match[2].strip()
    if word in {"else", "insert"} and rest:
        advice = "write `elseif` for a further condition" if word == "else" else f"remove `{rest}`"
        raise PipelineError(place, f"`{word}` takes nothing behind it: {advice}.")
    return word, rest


def whole_expression(text: str) -> str | None:
    """Return the expression of a text that is nothing but one."""
    match = EXPRESSION.match(text)
    return match[1] if match and match.end() == len(text) else None


def each_parts(text: str, place: Place) -> tuple[str, str]:
    """Return the name and the collection of an `each`."""
    each = _EACH.fullmatch(text)
    if each is None:
        raise PipelineError(place, "write it as `${{ each NAME in LIST }}:`.")
    return each[1], each[2]


def expressions_in(text: str, place: Place) -> list[str]:
    """Return the expressions in a text."""
    if "${{" in EXPRESSION.sub("", text):
        raise PipelineError(place, "`${{` is not closed: add `}}`.")
    return EXPRESSION.findall(text)


def check_file(tree: Mapping, names: tuple[str, ...]) -> None:
    """Refuse a file with an expression that cannot be parsed, also in a branch that is not taken.

    Args:
        tree: the content of the file.
        names: the root names of its expressions.
    """
    _check(tree, tree.place, names)


def _check(tree: Any, place: Place, names: tuple[str, ...]) -> None:
    if isinstance(tree, Mapping):
        for key, value, at in tree.entries():
            _check(value, at, (*names, *_checked_key(key, at, names)))
    elif isinstance(tree, Sequence):
        for value, at in tree.entries():
            _check(value, at, names)
    elif isinstance(tree, str) and "${{" in tree:
        _check_text(tree, place, names)


def _checked_key(key: str, place: Place, names: tuple[str, ...]) -> Iterator[str]:
    """Check a key, and yield the name that it defines for its value, if any."""
    found = directive(key, place) if "${{" in key else None
    if found is None:
        _check_text(key, place, names)
        return
    word, text = found
    if word == "each":
        name, text = each_parts(text, place)
        if name.lower() in {known.lower() for known in names}:
            raise PipelineError(place, f"the name `{name}` is taken: choose another for this `each`.")
        yield name
    if word in {"if", "elseif", "each"}:
        _check_expression(text, place, names)


def _check_text(text: str, place: Place, names: tuple[str, ...]) -> None:
    if "${{" in text:
        for expression in expressions_in(text, place):
            _check_expression(expression, place, names)


def _check_expression(text: str, place: Place, names: tuple[str, ...]) -> None:
    try:
        expressions.check(text, names)
        named = expressions.references(text)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error
    for root, name in sorted(named):
        if root == "variables" and name.lower() in _REFUSED:
            raise PipelineError(place, f"`{name}` has no value in `${{{{ }}}}` of this agent: use another variable.")
