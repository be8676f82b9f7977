"""Expressions of Azure Pipelines: the text in `${{ }}`, in `$[ ]` and after `condition:`."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial, wraps
from inspect import signature
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from kit_common.errors import UserError

_GRAMMAR = r"""
?value: STRING -> string
      | NUMBER -> number
      | NAME "(" [value ("," value)*] ")" -> call
      | named
named: NAME | named "." NAME -> member | named "[" value "]" -> item
STRING: /'([^']|'')*'/
NUMBER: /-?(\d+(\.\d*)?|\.\d+)/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
%ignore /\s+/
"""
_PARSER = Lark(_GRAMMAR, start="value", parser="lalr", maybe_placeholders=False)
_KEYWORDS = {"true": True, "false": False, "null": None}


class ExpressionError(UserError):
    """An expression that cannot be parsed or evaluated."""


def evaluate(text: str, scope: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """Return the value of an expression.

    Args:
        text: the expression, without brackets around it.
        scope: values of its root names: `{"variables": {…}}`; a missing name below a root is null.
        functions: further functions, by name in lower case.

    Raises:
        ExpressionError: it cannot be parsed, or has an unknown root name or function.
    """
    try:
        return _value(_parse(text), scope, functions or {})
    except RecursionError as error:
        raise ExpressionError("The expression nests its brackets too deeply: split it.") from error


def check(text: str, names: Collection[str], functions: Collection[str] = ()) -> None:
    """Raise an ExpressionError if an expression has another root name or another further function."""
    for node in _parse(text).iter_subtrees():
        if node.data == "call" and str(node.children[0]).lower() not in functions:
            _function(str(node.children[0]), len(node.children) - 1)
        elif node.data == "named":
            _check_name(str(node.children[0]), names)


def references(text: str) -> set[tuple[str, str]]:
    """Return the names in an expression: `("variables", "x")` for `variables['x']` and `variables.x`."""
    names = set()
    for node in _parse(text).iter_subtrees():
        if node.data in {"member", "item"} and isinstance(node.children[0], Tree) and node.children[0].data == "named":
            key = node.children[1]
            if isinstance(key, Token) or key.data == "string":
                names.add((str(node.children[0].children[0]).lower(), str(_value(key, {}, {}))))
    return names


def as_text(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, float):
        return format(value, ".15g")
    if isinstance(value, dict | list):
        raise ExpressionError("An object or a list cannot be part of a text: use convertToJson() or join().")
    return "" if value is None else str(value)


@lru_cache(maxsize=1024)
def _parse(text: str) -> "Tree[Token]":
    try:
        return _PARSER.parse(text)
    except UnexpectedInput as error:
        at = (error.pos_in_stream or 0) + 1 if text.strip() else 1
        problem = f"`{text.strip()}` is not an expression (see character {at}): check its brackets, commas and quotes."
        raise ExpressionError(problem) from error


def _value(node: Any, scope: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    if isinstance(node, Token):
        return str(node)
    first, *others = node.children
    match node.data:
        case "string":
            return str(first)[1:-1].replace("''", "'")
        case "number":
            return float(first)
        case "call":
            evaluated = partial(_value, scope=scope, functions=functions)
            function = functions.get(first.lower()) or _function(str(first), len(others))
            lazy = first.lower() in LAZY_FUNCTIONS
            return function(evaluated, *others) if lazy else function(*map(evaluated, others))
        case "named":
            name = str(first).lower()
            _check_name(name, scope)
            return _KEYWORDS[name] if name in _KEYWORDS else _item(scope, name)
        case _:
            return _item(_value(first, scope, functions), _value(others[0], scope, functions))


def _check_name(name: str, names: Collection[str]) -> None:
    if name.lower() not in {*_KEYWORDS, *(known.lower() for known in names)}:
        raise ExpressionError(f"`{name}` is not known at this point: use one of {', '.join(names)}.")


def _function(name: str, count: int) -> Callable[..., Any]:
    """Return a function that takes this many arguments; a lazy one takes the evaluating function before them."""
    key = name.lower()
    function = LAZY_FUNCTIONS.get(key) or FUNCTIONS.get(key)
    if function is None:
        raise ExpressionError(f"the function `{name}` is not implemented by this agent: remove it.")
    try:
        signature(function).bind(*range(count + (key in LAZY_FUNCTIONS)))
    except TypeError as error:
        raise ExpressionError(f"the function `{name}` does not take {count} arguments: change their number.") from error
    return function


def _item(container: Any, key: Any) -> Any:
    if isinstance(container, Mapping):
        wanted = as_text(key).lower()
        return next((value for name, value in container.items() if name.lower() == wanted), None)
    index = _number(key) if isinstance(container, list) else None
    return container[int(index)] if index is not None and 0 <= index < len(container) else None


def is_true(value: Any) -> bool:
    """Return whether a value counts as true: null, false, 0 and empty text do not."""
    return isinstance(value, dict | list) or value not in {None, "", 0}


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)\s*", value) else None
    return float(value) if isinstance(value, bool | int | float) else None


def _order(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1, with the right value converted to the type of the left one; None if it cannot be."""
    a: Any = left
    b: Any = right
    if isinstance(left, str):
        a, b = (left.lower(), None if isinstance(right, dict | list) else as_text(right).lower())
    elif isinstance(left, bool):
        b = is_true(right)
    elif isinstance(left, int | float):
        b = _number(right)
    else:
        a, b = (0, 0) if left is right or (left is None and right == "") else (0, None)
    return None if b is None else (a > b) - (a < b)


def _compared(left: Any, right: Any) -> int:
    order = _order(left, right)
    if order is None:
        raise ExpressionError("two values can't be compared: the second cannot be converted to the type of the first.")
    return order


def _members(collection: Any) -> list[Any]:
    if isinstance(collection, dict):
        return list(collection.values())
    return collection if isinstance(collection, list) else []


def _join(separator: Any, values: Any) -> str:
    parts = values if isinstance(values, list) else [values]
    return as_text(separator).join("" if isinstance(part, dict | list) else as_text(part) for part in parts)


def _format(template: str, *values: str) -> str:
    def filled(match: "re.Match[str]") -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if not match[1] or int(match[1]) >= len(values):
            raise ExpressionError(
                f"format() has no argument for `{match[0]}`: its arguments are {{0}}, {{1}} and so on."
            )
        return values[int(match[1])]

    return re.sub(r"\{\{|\}\}|\{(\d+)\}|[{}]", filled, template)


def _split(text: str, marks: str) -> list[str]:
    return re.split(f"[{re.escape(marks)}]", text) if marks else [text]


def _of_texts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that converts its arguments to text first."""
    return wraps(function)(lambda *arguments: function(*map(as_text, arguments)))


# `value` evaluates an argument: these functions evaluate only as many as they need.
LAZY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda value, a, b, *more: all(is_true(value(argument)) for argument in (a, b, *more)),
    "or": lambda value, a, b, *more: any(is_true(value(argument)) for argument in (a, b, *more)),
    "iif": lambda value, test, yes, no: value(yes if is_true(value(test)) else no),
}
_TEXT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": lambda text, part: part.lower() in text.lower(),
    "startswith": lambda text, part: text.lower().startswith(part.lower()),
    "endswith": lambda text, part: text.lower().endswith(part.lower()),
    "format": _format,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "replace": lambda text, old, new: text.replace(old, new) if old else text,
    "split": _split,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_texts(function) for name, function in _TEXT_FUNCTIONS.items()},
    "not": lambda value: not is_true(value),
    "xor": lambda left, right: is_true(left) != is_true(right),
    "eq": lambda left, right: _order(left, right) == 0,
    "ne": lambda left, right: _order(left, right) != 0,
    "gt": lambda left, right: _compared(left, right) > 0,
    "ge": lambda left, right: _compared(left, right) >= 0,
    "lt": lambda left, right: _compared(left, right) < 0,
    "le": lambda left, right: _compared(left, right) <= 0,
    "in": lambda left, first, *more: any(_order(left, right) == 0 for right in (first, *more)),
    "notin": lambda left, first, *more: all(_order(left, right) != 0 for right in (first, *more)),
    "containsvalue": lambda values, value: any(_order(value, member) == 0 for member in _members(values)),
    "coalesce": lambda a, b, *more: next((value for value in (a, b, *more) if value is not None and value != ""), None),
    "join": _join,
    "length": lambda value: len(value if isinstance(value, dict | list) else as_text(value)),
    "converttojson": lambda value: json.dumps(value, indent=2),
}
