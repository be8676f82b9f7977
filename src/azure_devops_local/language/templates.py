"""Expansion of a file before the run: parameters, templates and `${{ }}`."""

import posixpath
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Values
from dataclasses import dataclass, field, replace
from typing import Any

from azure_devops_local.language import fields, parameters
from azure_devops_local.language.directives import (
    EXPRESSION,
    check_file,
    directive,
    each_parts,
    expressions_in,
    whole_expression,
)
from azure_devops_local.language.documents import Files, Mapping, PipelineError, Place, Sequence, load, tree_of
from azure_devops_local.language.expressions import evaluate
from azure_devops_local.language.predefined import IN_TEMPLATES
from azure_devops_local.language.values import Closed, ExpressionError, as_text, is_true

_WORK = ("stages", "jobs", "steps")
_KINDS = (*_WORK, "variables")
_EXTENDED = ("parameters", "variables", "pool", "extends", *_WORK)
_NAMES = ("parameters", "variables")
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
    tree = tree.without("parameters")
    check_file(tree, _NAMES)
    known = {name: value for name, value in predefined.items() if name in IN_TEMPLATES}
    context = _Context(files, {"parameters": Closed(values), "variables": known}, (path,))
    return parameters.untyped(_extended(*_scoped(tree, context))), values


def _scoped(tree: Mapping, context: _Context) -> tuple[Mapping, _Context]:
    """Expand a pipeline, stage or job: its variables first, because everything else can name them."""
    variables = dict(context.scope["variables"])
    context = context.naming(variables=variables)
    given, place = tree.get("variables"), tree.place_of("variables")
    expanded: list[tuple[str, Any, Place]] = []
    if isinstance(given, Mapping):
        expanded = [("variables", Mapping(given.place, _defining(_entries(given, context), variables)), place)]
    elif isinstance(given, Sequence):
        listed = Sequence(given.place, _listing(_items(given, context, "variables"), variables))
        expanded = [("variables", listed, place)]
    elif given:
        raise tree.error("variables", "`variables` is a mapping, or a list of `- name: …`.")
    others = [*_entries(tree.without("variables"), context)]
    is_first = next(iter(tree), "") == "variables"  # which key is the first one matters
    return Mapping(tree.place, [*expanded, *others] if is_first else [*others, *expanded]), context


def _extended(tree: Mapping, context: _Context) -> Mapping:
    """Return an expanded pipeline with the content of the template that it extends."""
    if "extends" not in tree:
        return tree
    place = tree.places["extends"]
    for key in _WORK:
        if key in tree:
            raise tree.error(key, f"`{key}` cannot stand beside `extends`: move it into the template.")
    item = fields.mapping(tree, "extends")
    if "template" not in item:
        raise PipelineError(place, "`extends` names its template: add `template: PATH`.")
    template, inner = _template(item, context)
    fields.only(template, "a template that is extended", _EXTENDED)
    body, inner = _scoped(template.without("parameters"), inner)
    for key in ("variables", "pool"):
        if key in tree and key in body:
            problem = "cannot stand both here and in the template that is extended: write it at one place"
            raise tree.error(key, f"`{key}` {problem}.")
    own = tree.without("extends")
    return Mapping(tree.place, [*own.entries(), *_extended(body, inner).entries()])


def _defining(entries: Iterable[tuple[str, Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[str, Any, Place]]:
    """Pass the entries of `variables` on; each can name those before it."""
    for key, value, place in entries:
        variables[key] = value if isinstance(value, Mapping | Sequence) else as_text(value)
        yield key, value, place


def _listing(items: Iterable[tuple[Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[Any, Place]]:
    for item, place in items:
        if isinstance(item, Mapping) and "name" in item:
            value = item.get("value", "")
            variables[str(item["name"])] = value if isinstance(value, Mapping | Sequence) else as_text(value)
        yield item, place


def _tree(tree: Any, place: Place, context: _Context, kind: str = "") -> Any:
    if isinstance(tree, Mapping):
        scoped = kind in {"stages", "jobs"}
        return _scoped(tree, context)[0] if scoped else Mapping(tree.place, _entries(tree, context))
    if isinstance(tree, Sequence):
        return Sequence(tree.place, _items(tree, context, kind))
    value = _filled(tree, place, context)
    return Sequence(place, _inserted(value, context, kind)) if kind and isinstance(value, Sequence) else value


def _inserted(items: Sequence, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
    """Yield the items of a parameter, with those of the templates that it names."""
    for item, place in items.entries():
        is_template = isinstance(item, Mapping) and "template" in item
        yield from _included(item, context, kind) if is_template else [(item, place)]


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
            yield from _included(value, inner or context, kind)
        else:
            expanded = _tree(value, place, inner or context, kind)
            if isinstance(expanded, Sequence) and not isinstance(value, Sequence):
                yield from expanded.entries()
            elif kind and isinstance(value, str):  # the one step, job or stage of a parameter
                yield from _inserted(Sequence(place, [(expanded, place)]), context, kind)
            elif expanded or not isinstance(value, Mapping) or not value:  # not empty only because no `if` was true
                yield expanded, place


def _as_entries(item: Any, place: Place) -> Iterable[tuple[str, Any, Place]]:
    """Return the directives of an item that has nothing else; any other item is one entry without a key.

    A mapping below a directive belongs to the item itself, `- ${{ each pair in step }}: {…}`, unless it is a template.
    """
    mapping = item if isinstance(item, Mapping) else {}
    words = {(directive(key, place) or ("insert",))[0] for key in mapping}
    own = any(isinstance(value, Mapping) and "template" not in value for value in mapping.values())
    return [("", item, place)] if own or "insert" in words or not mapping else item.entries()


def _chosen(
    entries: Iterable[tuple[str, Any, Place]], context: _Context
) -> Iterator[tuple[str, Any, Place, _Context | None]]:
    """Yield plain entries unchanged, and the content of a directive once per match, with its context."""
    met: bool | None = None  # whether one condition of the current chain was true; None outside of a chain
    for key, value, place in entries:
        word, text = directive(key, place) or ("", "")
        if word in {"elseif", "else"} and met is None:
            raise PipelineError(place, f"`{word}` has no `if` before it: put it below one.")
        inners: Iterable[_Context | None] = [context if word else None]
        if word in {"if", "elseif", "else"}:
            met = False if word == "if" else met
            taken = not met and (word == "else" or is_true(_evaluated(text, place, context)))
            met = None if word == "else" else met or taken
            inners = [context] if taken else []
        elif word:  # a plain entry may stand between an `if` and its `else`, another directive may not
            met = None
            inners = _rounds(text, place, context) if word == "each" else inners
        for inner in inners:
            yield key, value, place, inner


def _included(item: Mapping, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
    fields.begins_with(item, "the entry", ("template",))
    tree, inner = _template(item, context)
    fields.only(tree, f"a template of {kind}", ("parameters", kind))
    if kind not in tree:
        raise PipelineError(item.places["template"], f"{tree.place.file} has no `{kind}`: add the key to the template.")
    value = tree[kind]
    if kind == "variables" and isinstance(value, Mapping):
        for name, content, at in _entries(value, inner):
            yield Mapping(at, [("name", name, at), ("value", content, at)]), at
        return
    if not isinstance(value, Sequence):
        raise tree.error(kind, f"`{kind}` is a list: begin each entry with `- `.")
    yield from _items(value, inner, kind)


def _template(item: Mapping, context: _Context) -> tuple[Mapping, _Context]:
    """Return the content of the template that an entry names, and the context to expand it in."""
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
    given = _tree(item.get("parameters", Mapping(place)), place, context)
    at = item.places.get("parameters", place)
    values = parameters.of_template(parameters.declared(tree), given, at, path)
    check_file(tree.without("parameters"), _NAMES)
    scope = {"parameters": Closed(values), "variables": context.scope["variables"]}
    return tree, replace(context, chain=(*context.chain, path), scope=scope)


def _rounds(text: str, place: Place, context: _Context) -> Iterator[_Context]:
    name, collection = each_parts(text, place)
    values = _evaluated(collection, place, context)
    if isinstance(values, dict):
        values = [{"key": key, "value": value} for key, value in values.items()]
    if not isinstance(values, list):
        if values not in {None, ""}:
            raise PipelineError(place, f"`{collection.strip()}` is neither a list nor an object: `each` needs one.")
        return
    for value in values:
        yield context.naming(**{name: value})


def _filled(text: Any, place: Place, context: _Context) -> Any:
    """Return a text with its `${{ }}` evaluated; a text that is one expression can become a value of any type."""
    if not isinstance(text, str) or "${{" not in text:
        return text
    expressions_in(text, place)
    if (whole := whole_expression(text)) is not None:
        return tree_of(_evaluated(whole, place, context), place)
    return EXPRESSION.sub(lambda match: _as_text(_evaluated(match[1], place, context), place), text)


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
