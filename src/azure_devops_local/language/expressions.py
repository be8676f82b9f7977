"""Expressions of Azure Pipelines: the text in `${{ }}`, in `$[ ]` and after `condition:`."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from inspect import signature
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from azure_devops_local.language import values
from azure_devops_local.language.functions import FUNCTIONS, LAZY_FUNCTIONS
from azure_devops_local.language.values import ExpressionError

# The language has no operators and no brackets for grouping.
_GRAMMAR = r"""
?value: STRING -> string
      | VERSION -> version
      | NUMBER -> number
      | NAME "(" [value ("," value)*] ")" -> call
      | NAME -> named
      | value "." NAME -> member
      | value "[" value "]" -> item
      | value ("." "*" | "[" "*" "]") -> every
STRING: /'([^']|'')*'/
VERSION.2: /\d+(\.\d+){2,3}(?![\w.])/
NUMBER: /-?(\d+(\.\d*)?|\.\d+)(?![\w.])/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
%ignore /\s+/
"""
_PARSER = Lark(_GRAMMAR, start="value", parser="lalr", maybe_placeholders=False)
_KEYWORDS = {"true": True, "false": False}
_LITERALS: dict[str, Callable[[str], Any]] = {
    "string": lambda text: text[1:-1].replace("''", "'"),
    "number": values.number,
    "version": values.version,
}
STATUS_FUNCTIONS = {"succeeded": True, "failed": True, "always": False, "canceled": False, "succeededorfailed": True}
"""Functions of conditions, besides those of every expression; whether they take names of jobs or stages."""
ONLY_IN_TEMPLATES = ("split",)
"""Functions of `${{ }}` that conditions and `$[ ]` do not have."""
_NOT_IMPLEMENTED = ("counter", "substring")
_CONTEXTS = ("resources", "pipeline")
_OPERATOR = re.compile(r"[=!<>&|]")
_DEEPEST = 50


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


def check(text: str, names: Collection[str], functions: Mapping[str, bool] | None = None) -> None:
    """Raise an ExpressionError if an expression has another root name or another further function.

    Args:
        text: the expression, without brackets around it.
        names: the root names.
        functions: further functions, by name in lower case, and whether they take arguments.
    """
    for node in _parse(text).iter_subtrees():
        if node.data == "call":
            name, count = str(node.children[0]), len(node.children) - 1
            takes_arguments = (functions or {}).get(name.lower())
            if takes_arguments is None:
                _function(name, count)
            elif count and not takes_arguments:
                raise ExpressionError(f"the function `{name}` takes no arguments here: remove them.")
        elif node.data == "named":
            _check_name(str(node.children[0]), names)


@lru_cache(maxsize=1024)  # `check` reads the same expressions with each choice
def references(text: str) -> frozenset[tuple[str, str]]:
    """Return the names in an expression: `("variables", "x")` for `variables['x']` and `variables.x`."""
    names = set()
    for node in _parse(text).iter_subtrees():
        if node.data in {"member", "item"} and isinstance(node.children[0], Tree) and node.children[0].data == "named":
            key = node.children[1]
            if isinstance(key, Token) or key.data == "string":
                names.add((str(node.children[0].children[0]).lower(), str(_value(key, {}, {}))))
    return frozenset(names)


def calls(text: str) -> set[str]:
    """Return the names of the functions in an expression, in lower case."""
    return {str(node.children[0]).lower() for node in _parse(text).iter_subtrees() if node.data == "call"}


@lru_cache(maxsize=1024)
def _parse(text: str) -> "Tree[Token]":
    shown = text.strip()
    if not shown:
        raise ExpressionError("the expression is empty: write it between the brackets.")
    try:
        tree = _PARSER.parse(shown)
        _check_depth(tree, 1)
        _check_literals(tree)
    except UnexpectedInput as error:
        at = min(error.pos_in_stream or 0, len(shown) - 1)
        if _OPERATOR.match(shown, at) or (shown[at] == "(" and not re.search(r"\w\s*$", shown[:at])):
            advice = "there are no operators and no brackets for grouping; write eq(a, b), and(a, b), not(a)"
        elif shown[at] == '"':
            advice = "write text in single quotes"
        else:
            advice = "check its brackets, commas and quotes"
        column = len(" ".join(shown[: at + 1].split()))  # in the text as the sentence quotes it, on one line
        problem = f"`{' '.join(shown.split())}` is not an expression (see character {column}): {advice}."
        raise ExpressionError(problem) from error
    except RecursionError as error:
        raise ExpressionError("The expression is too long: split it.") from error
    return tree


def _check_depth(node: Any, depth: int) -> None:
    """Limit the nesting of functions; members of members count as one level."""
    if depth > _DEEPEST:
        raise ExpressionError(f"the expression nests functions more than {_DEEPEST} levels deep: split it.")
    if isinstance(node, Tree):
        for child in node.children:
            _check_depth(child, depth + (node.data == "call" and child is not node.children[0]))


def _check_literals(tree: "Tree[Token]") -> None:
    for node in tree.iter_subtrees():
        if node.data in _LITERALS and _LITERALS[node.data](str(node.children[0])) is None:
            raise ExpressionError(f"`{node.children[0]}` is too large: write a smaller one, or text in single quotes.")


def _value(node: Any, scope: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    if isinstance(node, Token):
        return str(node)
    first, *others = node.children
    match node.data:
        case "string" | "number" | "version":
            return _LITERALS[node.data](str(first))
        case "call":
            evaluated = partial(_value, scope=scope, functions=functions)
            function = functions.get(first.lower()) or _function(str(first), len(others))
            lazy = first.lower() in LAZY_FUNCTIONS
            return function(evaluated, *others) if lazy else function(*map(evaluated, others))
        case "named":
            name = str(first).lower()
            _check_name(name, scope)
            return _KEYWORDS[name] if name in _KEYWORDS else values.item(scope, name)
        case "every":
            return values.every(_value(first, scope, functions))
        case _:
            return values.item(_value(first, scope, functions), _value(others[0], scope, functions))


def _check_name(name: str, names: Collection[str]) -> None:
    if name.lower() in {*_KEYWORDS, *(known.lower() for known in names)}:
        return
    if name.lower() == "null":
        raise ExpressionError("`null` cannot be written in an expression: compare with '' instead.")
    if name.lower() in {*FUNCTIONS, *LAZY_FUNCTIONS}:
        raise ExpressionError(f"`{name}` is a function: write its arguments behind it, in brackets.")
    if name.lower() in _CONTEXTS:
        raise ExpressionError(f"`{name}` is not implemented by this agent: remove it.")
    raise ExpressionError(f"`{name}` is not known at this point: use one of {', '.join(names)}.")


@lru_cache(maxsize=1024)
def _function(name: str, count: int) -> Callable[..., Any]:
    """Return a function that takes this many arguments; a lazy one takes the evaluating function before them."""
    key = name.lower()
    function = LAZY_FUNCTIONS.get(key) or FUNCTIONS.get(key)
    if function is None:
        raise ExpressionError(_unknown_function(name))
    try:
        signature(function).bind(*range(count + (key in LAZY_FUNCTIONS)))
    except TypeError as error:
        raise ExpressionError(f"the function `{name}` does not take {count} arguments: change their number.") from error
    return function


def _unknown_function(name: str) -> str:
    """Return a sentence about a function that is not among those of the expression."""
    if name.lower() in _NOT_IMPLEMENTED:
        return f"the function `{name}` is not implemented by this agent: remove it."
    if name.lower() in STATUS_FUNCTIONS:
        return f"the function `{name}` can only be used in a condition: move it there."
    close = difflib.get_close_matches(name.lower(), [*FUNCTIONS, *LAZY_FUNCTIONS, *STATUS_FUNCTIONS], 1)
    return f"there is no function `{name}`{f'; did you mean `{close[0]}`?' if close else ': correct its name.'}"
