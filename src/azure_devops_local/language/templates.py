"""Expansion of a file before the run: parameters, templates and `${{ }}`."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Values
from dataclasses import dataclass, field, replace
from typing import Any

from azure_devops_local.language import fields, parameters
from azure_devops_local.language.documents import Files, Mapping, PipelineError, Place, Sequence, load
from azure_devops_local.language.expressions import evaluate
from azure_devops_local.language.values import ExpressionError, as_text, is_true

_EXPRESSION = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|[^'])*?)\}\}", re.DOTALL)
_DIRECTIVE = re.compile(r"\$\{\{\s*(if|elseif|else|each|insert)\b(.*)\}\}\s*", re.DOTALL)
_EACH = re.compile(r"\s*([A-Za-z_]\w*)\s+in\s+(.+)", re.DOTALL)
_KINDS = ("stages", "jobs", "steps", "variables")
_MOST_FILES = 100


@dataclass(frozen=True)
class _Context:
    files: Files
    scope: dict[str, Any]
    """The names of an expression: `parameters`, `variables`, and the variables of `each`."""
    chain: tuple[str, ...]
    """The files that include one another, down to this one."""
    included: list[str] = field(default_factory=list)
    """Every file included so far, in all branches."""

    def naming(self, **names: Any) -> "_Context":
        return replace(self, scope={**self.scope, **names})


def expand(
    files: Files, path: str, given: Values[str, str], predefined: Values[str, str]
) -> tuple[Mapping, dict[str, Any]]:
    """Return a pipeline's file with templates and `${{ }}` expanded, and the values of its parameters.

    Arguments and errors are those of `read_pipeline`.
    """
    tree = load(files, path)
    values = parameters.of_run(parameters.declared(tree, root=True), given, path)
    context = _Context(files, {"parameters": values, "variables": dict(predefined)}, (path,))
    return _scoped(tree.without("parameters"), context), values


def _scoped(tree: Mapping, context: _Context) -> Mapping:
    """Expand a pipeline, stage or job: its variables first, because everything else can name them."""
    variables = dict(context.scope["variables"])
    context = context.naming(variables=variables)
    first = tree.get("variables")
    expanded: list[tuple[str, Any, Place]] = []
    if isinstance(first, Mapping):
        defined = Mapping(first.place, _defining(_entries(first, context), variables))
        expanded = [("variables", defined, tree.places["variables"])]
    elif isinstance(first, Sequence):
        listed = Sequence(first.place, _listing(_items(first, context, "variables"), variables))
        expanded = [("variables", listed, tree.places["variables"])]
    elif first:
        raise tree.error("variables", "`variables` is a mapping, or a list of `- name: …`.")
    return Mapping(tree.place, [*expanded, *_entries(tree if first is None else tree.without("variables"), context)])


def _defining(entries: Iterable[tuple[str, Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[str, Any, Place]]:
    """Pass the entries of `variables` on; each can name those before it."""
    for key, value, place in entries:
        variables[key] = value
        yield key, value, place


def _listing(items: Iterable[tuple[Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[Any, Place]]:
    for item, place in items:
        if isinstance(item, Mapping) and "name" in item:
            variables[str(item["name"])] = item.get("value", "")
        yield item, place


def _tree(tree: Any, place: Place, context: _Context, kind: str = "") -> Any:
    if isinstance(tree, Mapping):
        scoped = kind in {"stages", "jobs"}
        return _scoped(tree, context) if scoped else Mapping(tree.place, _entries(tree, context))
    if isinstance(tree, Sequence):
        return Sequence(tree.place, _items(tree, context, kind))
    value = _filled(tree, place, context)
    return value if isinstance(value, Mapping | Sequence) else _as_text(value, place)


def _entries(tree: Mapping, context: _Context) -> Iterator[tuple[str, Any, Place]]:
    """Expand the entries of a mapping, with those below its `${{ if }}:` and the like."""
    for key, value, place, inner in _chosen(tree.entries(), context):
        if inner is None:
            name = _as_text(_filled(key, place, context), place)
            yield name, _tree(value, place, context, name if name in _KINDS else ""), place
        elif isinstance(value, Mapping):
            yield from _entries(value, inner)
        elif isinstance(expanded := _tree(value, place, inner), Mapping):
            yield from expanded.entries()
        else:
            raise PipelineError(place, f"below `{key}` in a mapping, write `key: value` lines, not a list or text.")


def _items(tree: Sequence, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
    """Expand the items of a sequence, with those of its templates and below `- ${{ if }}:` and the like."""
    entries = (entry for item, place in tree.entries() for entry in _as_entries(item, place))
    for _, value, place, inner in _chosen(entries, context):
        if inner is not None and isinstance(value, Sequence):
            yield from _items(value, inner, kind)
        elif kind and isinstance(value, Mapping) and "template" in value:
            yield from _included(value, context, kind)
        else:
            expanded = _tree(value, place, inner or context, kind)
            if isinstance(expanded, Sequence) and not isinstance(value, Sequence):
                yield from expanded.entries()
            elif expanded or not isinstance(value, Mapping) or not value:  # not empty only because no `if` was true
                yield expanded, place


def _as_entries(item: Any, place: Place) -> Iterable[tuple[str, Any, Place]]:
    """Return the directives of an item that has nothing else; any other item is one entry without a key.

    A mapping below a directive belongs to the item itself: `- ${{ each pair in step }}: {…}`.
    """
    mapping = item if isinstance(item, Mapping) else {}
    whole = any(not _DIRECTIVE.fullmatch(key) or isinstance(value, Mapping) for key, value in mapping.items())
    return [("", item, place)] if whole or not mapping else item.entries()


def _chosen(
    entries: Iterable[tuple[str, Any, Place]], context: _Context
) -> Iterator[tuple[str, Any, Place, _Context | None]]:
    """Yield plain entries unchanged, and the content of a directive once per match, with its context."""
    met: bool | None = None  # whether one condition of the current chain was true; None outside of a chain
    for key, value, place in entries:
        directive = _DIRECTIVE.fullmatch(key)
        word, text = directive.groups() if directive else ("", "")
        if word in {"elseif", "else"} and met is None:
            raise PipelineError(place, f"`{word}` has no `if` before it: put it directly below one.")
        if word in {"if", "elseif", "else"}:
            met = False if word == "if" else met
            taken = not met and (word == "else" or is_true(_evaluated(text, place, context)))
            met = None if word == "else" else met or taken
            inners: Iterable[_Context | None] = [context] if taken else []
        else:
            met = None
            inners = _rounds(text, place, context) if word == "each" else [context if directive else None]
        for inner in inners:
            yield key, value, place, inner


def _included(item: Mapping, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
    place = item.places["template"]
    fields.only(item, "an entry with `template`", ("template", "parameters"))
    path = _path_of(_as_text(_filled(item["template"], place, context), place), place)
    if path in context.chain:
        chain = " → ".join((*context.chain[context.chain.index(path) :], path))
        raise PipelineError(place, f"the template includes itself ({chain}): remove this line.")
    context.included.append(path)
    if len(context.included) > _MOST_FILES:
        raise PipelineError(place, f"more than {_MOST_FILES} templates are included: Azure Pipelines allows no more.")
    tree = load(context.files, path, place)
    fields.only(tree, f"a template of {kind}", ("parameters", kind))
    if kind not in tree:
        raise PipelineError(place, f"{path} has no `{kind}`: add the key to the template.")
    given = _tree(item.get("parameters", Mapping(place)), place, context)
    at = item.places.get("parameters", place)
    values = parameters.of_template(parameters.declared(tree), given, at, path)
    scope = {"parameters": values, "variables": context.scope["variables"]}
    inner = replace(context, chain=(*context.chain, path), scope=scope)
    value = tree[kind]
    if kind == "variables" and isinstance(value, Mapping):
        for name, content, at in _entries(value, inner):
            yield Mapping(at, [("name", name, at), ("value", content, at)]), at
        return
    if not isinstance(value, Sequence):
        raise tree.error(kind, f"`{kind}` is a list: begin each entry with `- `.")
    yield from _items(value, inner, kind)


def _rounds(text: str, place: Place, context: _Context) -> Iterator[_Context]:
    each = _EACH.fullmatch(text)
    if each is None:
        raise PipelineError(place, "write it as `${{ each NAME in LIST }}:`.")
    values = _evaluated(each[2], place, context)
    if isinstance(values, dict):
        values = [{"key": key, "value": value} for key, value in values.items()]
    if not isinstance(values, list):
        if values not in {None, ""}:
            raise PipelineError(place, f"`{each[2].strip()}` is neither a list nor an object: `each` needs one.")
        return
    for value in values:
        yield context.naming(**{each[1]: value})


def _filled(text: str, place: Place, context: _Context) -> Any:
    """Return a text with its `${{ }}` evaluated; a text that is one expression has the value's type."""
    if "${{" not in text:
        return text
    if "${{" in _EXPRESSION.sub("", text):
        raise PipelineError(place, "`${{` is not closed: add `}}`.")
    whole = _EXPRESSION.match(text.strip())
    if whole and whole.end() == len(text.strip()):
        return _evaluated(whole[1], place, context)
    return _EXPRESSION.sub(lambda match: _as_text(_evaluated(match[1], place, context), place), text)


def _as_text(value: Any, place: Place) -> str:
    try:
        return as_text(value)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error


def _evaluated(text: str, place: Place, context: _Context) -> Any:
    try:
        return evaluate(text, context.scope)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error


def _path_of(written: str, place: Place) -> str:
    written = written.removesuffix("@self")
    if "@" in written:
        raise PipelineError(
            place, f"`{written}` is in another repository, which this agent does not implement: copy it into this one."
        )
    folder = "" if written.startswith("/") else posixpath.dirname(place.file)
    path = posixpath.normpath(posixpath.join(folder, written.lstrip("/")))
    if path.split("/")[0] == ".." or not written.isprintable():
        raise PipelineError(place, f"{written!r} is outside of the repository: use a file in it.")
    return path
