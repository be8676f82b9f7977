"""Values of expressions: their types, conversions, order and members."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from azure_devops_local.language import documents
from kit_common.errors import UserError

# As .NET reads a number: thousands may be grouped, and there is no exponent.
_NUMBER = re.compile(r"\s*[+-]?(\d[\d,]*(\.\d*)?|\.\d+)\s*")
_LARGEST_NUMBER = Decimal(2**96 - 1)
_VERSION = re.compile(r"\s*(\d{1,10}(?:\.\d{1,10}){1,3})\s*")
_LARGEST_PART = 2**31 - 1
_PRECISE = Context(prec=60, rounding=ROUND_HALF_UP)


class ExpressionError(UserError):
    """An expression that cannot be parsed or evaluated."""


class Version(tuple[int, ...]):
    """A version: two to four numbers; one that is missing is below 0."""

    __slots__ = ()

    def __str__(self) -> str:
        return ".".join(map(str, self))


_NAMES: dict[type, str] = {
    **{bool: "Boolean", int: "Number", Decimal: "Number", str: "String", list: "Array", dict: "Object"},
    **{Version: "Version", type(None): "Null"},
}


class Filtered(list[Any]):
    """What `*` selects: a member of it is the list of this member of each item."""


class Closed(dict[str, Any]):
    """Names that are all known: another name is an error, not null."""


def as_text(value: Any) -> str:
    """Return a value as text; a number has at most seven decimals and no exponent."""
    if isinstance(value, bool | str | Version):
        return str(value)
    if isinstance(value, int | Decimal):
        text = format(Decimal(value).quantize(Decimal("1e-7"), context=_PRECISE), "f").rstrip("0").removesuffix(".")
        return "0" if text == "-0" else text
    if value is None:
        return ""
    raise ExpressionError("an object or a list cannot be part of a text: use convertToJson() or join().")


def is_true(value: Any) -> bool:
    """Return whether a value counts as true: null, false, 0 and empty text do not."""
    return isinstance(value, dict | list | Version) or value not in {None, "", 0}


def number(text: str) -> Decimal | None:
    """Return the number in a text, or None."""
    value = Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None
    return value if value is not None and abs(value) <= _LARGEST_NUMBER else None


def version(text: str) -> Version | None:
    """Return the version in a text, or None."""
    match = _VERSION.fullmatch(text)
    parts = Version(map(int, match[1].split("."))) if match else Version()
    return parts if parts and max(parts) <= _LARGEST_PART else None


def kind(value: Any) -> str:
    """Return the name of a value's type."""
    return next(name for base, name in _NAMES.items() if isinstance(value, base))


def order(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1, with the right value converted to the type of the left one; None if it cannot be."""
    a: Any = left
    b: Any
    if isinstance(left, bool):
        b = is_true(right)
    elif isinstance(left, dict | list) or isinstance(right, dict | list):
        a, b = 0, 0 if left is right else None
    elif isinstance(left, str):
        a, b = in_capitals(left), in_capitals(as_text(right))
    elif isinstance(left, Version):
        b = right if isinstance(right, Version) else version(as_text(right))
    elif left is None:
        a, b = 0, 0 if right is None or right == "" else None
    else:
        b = as_number(right)
    return None if b is None else (a > b) - (a < b)


def compared(left: Any, right: Any) -> int:
    """Return -1, 0 or 1 as `order` does; null on the left counts as 0.

    Raises:
        ExpressionError: the values have no order.
    """
    left = 0 if left is None else left
    found = None if isinstance(left, dict | list) else order(left, right)
    if found is None:
        shown = f" `{right}`" if isinstance(right, str) else ""
        problem = f"the {kind(right)}{shown} cannot be converted to {kind(left)}, the type of the value before it"
        raise ExpressionError(f"two values can't be compared: {problem}.")
    return found


def as_number(value: Any) -> Decimal | int | None:
    """Return a value as a number, or None."""
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        return number(value)
    return value if isinstance(value, int | Decimal) else None


def members(collection: Any) -> list[Any]:
    """Return the items of a list or the values of an object; nothing of any other value."""
    if isinstance(collection, Mapping):
        return list(collection.values())
    return list(collection) if isinstance(collection, list) else []


def item(container: Any, key: Any) -> Any:
    """Return a member of an object or a list; null if it does not exist."""
    found = _found(container, key)
    return found[0] if found else None


def every(container: Any) -> Filtered:
    """Return what `*` selects."""
    if isinstance(container, Filtered):
        return Filtered(member for inner in container for member in members(inner))
    return Filtered(members(container))


def _found(container: Any, key: Any) -> list[Any]:
    """Return the member in a list; an empty list if it does not exist."""
    if isinstance(container, Filtered):
        return [Filtered(member for inner in container for member in _found(inner, key))]
    if isinstance(container, list):
        index = as_number(key)
        return container[int(index) : int(index) + 1] if index is not None and index >= 0 else []
    if not isinstance(container, Mapping) or isinstance(key, dict | list):
        return []
    wanted = as_text(key)
    if isinstance(container, documents.Mapping):  # only names in YAML are told apart by their case
        return [container[wanted]] if wanted in container else []
    close = [value for name, value in container.items() if name.lower() == wanted.lower()]
    if not close and isinstance(container, Closed):
        known = f"it is one of {', '.join(container)}" if container else "none is declared"
        raise ExpressionError(f"the parameter `{wanted}` is not declared: {known}.")
    return close[:1]


def in_capitals(text: str) -> str:
    """Return a text in capitals, as .NET does it: one character for one."""
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in text)
