"""Functions of expressions."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any

from azure_devops_local.language.values import (
    ExpressionError,
    Version,
    as_text,
    compared,
    in_capitals,
    is_true,
    members,
    order,
)

Value = Callable[[Any], Any]


def _join(separator: Any, values: Any) -> str:
    parts = values if isinstance(values, list) else [values]
    return as_text(separator).join("" if isinstance(part, dict | list) else as_text(part) for part in parts)


def _format(value: Value, template: Any, *arguments: Any) -> str:
    def filled(match: "re.Match[str]") -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if not match[1] or int(match[1]) >= len(arguments):
            raise ExpressionError(
                f"format() has no argument for `{match[0]}`: its arguments are {{0}}, {{1}} and so on."
            )
        return as_text(value(arguments[int(match[1])]))

    return re.sub(r"\{\{|\}\}|\{(\d{1,3})\}|[{}]", filled, as_text(value(template)))


def _json(value: Any, *, margin: str = "\n") -> str:
    """Return a value as JSON, whose numbers are written as in any other text."""
    if isinstance(value, dict | list) and value:
        inner = f"{margin}  "
        named = isinstance(value, dict)
        keys = [f"{_json(key)}: " for key in value] if named else [""] * len(value)
        parts = (key + _json(member, margin=inner) for key, member in zip(keys, members(value), strict=True))
        return f"{'{' if named else '['}{inner}{f',{inner}'.join(parts)}{margin}{'}' if named else ']'}"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return as_text(value)
    return json.dumps(as_text(value) if isinstance(value, Version) else value, ensure_ascii=False)


def _of_texts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that converts its arguments to text first."""
    return wraps(function)(lambda *arguments: function(*map(as_text, arguments)))


def _coalesce(value: Value, a: Any, b: Any, *more: Any) -> Any:
    return next((found for found in map(value, (a, b, *more)) if found is not None and found != ""), None)


def _is_in(value: Value, left: Any, first: Any, *more: Any) -> bool:
    wanted = value(left)
    return any(order(wanted, value(right)) == 0 for right in (first, *more))


# `value` evaluates an argument: these functions evaluate only as many as they need.
LAZY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda value, a, b, *more: all(is_true(value(argument)) for argument in (a, b, *more)),
    "or": lambda value, a, b, *more: any(is_true(value(argument)) for argument in (a, b, *more)),
    "coalesce": _coalesce,
    "format": _format,
    "in": _is_in,
    "notin": lambda value, left, first, *more: not _is_in(value, left, first, *more),
}
_TEXT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": lambda text, part: in_capitals(part) in in_capitals(text),
    "startswith": lambda text, part: in_capitals(text).startswith(in_capitals(part)),
    "endswith": lambda text, part: in_capitals(text).endswith(in_capitals(part)),
    "lower": lambda text: text.lower(),
    "upper": in_capitals,
    "trim": lambda text: text.strip(),
    "replace": lambda text, old, new: text.replace(old, new) if old else text,
    "split": lambda text, mark: text.split(mark) if mark else [text],
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_texts(function) for name, function in _TEXT_FUNCTIONS.items()},
    "not": lambda value: not is_true(value),
    "xor": lambda left, right: is_true(left) != is_true(right),
    "eq": lambda left, right: order(left, right) == 0,
    "ne": lambda left, right: order(left, right) != 0,
    "gt": lambda left, right: compared(left, right) > 0,
    "ge": lambda left, right: compared(left, right) >= 0,
    "lt": lambda left, right: compared(left, right) < 0,
    "le": lambda left, right: compared(left, right) <= 0,
    "iif": lambda test, yes, no: yes if is_true(test) else no,
    "containsvalue": lambda values, value: any(order(value, member) == 0 for member in members(values)),
    "join": _join,
    "length": lambda value: len(value if isinstance(value, dict | list) else as_text(value)),
    "converttojson": _json,
}
