"""What Azure Pipelines does with a file before the run begins: parameters, templates and `${{ }}`."""

import posixpath
import re
from collections.abc import Iterator
from collections.abc import Mapping as Values
from dataclasses import dataclass, field, replace
from typing import Any

from azure_devops_local.language import parameters
from azure_devops_local.language.documents import Files, Mapping, PipelineError, Place, Sequence, load
from azure_devops_local.language.expressions import ExpressionError, as_text, evaluate, is_true

_EXPRESSION = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|[^'])*?)\}\}", re.DOTALL)
_DIRECTIVE = re.compile(r"\$\{\{\s*(if|elseif|else|each|insert)\b(.*)\}\}\s*", re.DOTALL)
_EACH = re.compile(r"\s*([A-Za-z_]\w*)\s+in\s+(.+)", re.DOTALL)
_KINDS = ("stages", "jobs", "steps", "variables")
_MOST_FILES = 100


@dataclass(frozen=True)
class _Context:
    scope: dict[str, Any]
    """What an expression can name: `parameters`, `variables`, and what `each` goes through."""
    chain: tuple[str, ...]
    """The files that include one another, down to this one."""
    counted: list[str] = field(default_factory=list)
    """Every file included so far."""

    def naming(self, **names: Any) -> "_Context":
        return replace(self, scope={**self.scope, **names})


def expand(
    files: Files, path: str, given: Values[str, str], predefined: Values[str, str]
) -> tuple[Mapping, dict[str, Any]]:
    """Return a pipeline's file with its templates and `${{ }}` filled in, and the values of its parameters.

    Args:
        files: where the templates are.
        path: the file, from the repository's root.
        given: the parameters of this run; the others have their defaults.
        predefined: the variables that are known before a run begins: `Build.SourceBranch`, …

    Raises:
        UsageError: a parameter that is given is not declared, or can't have that value.
        PipelineError: something in the files, at its place.
    """
    tree = load(files, path)
    values = parameters.of_run(parameters.declared(tree, root=True), given, path)
    context = _Context({"parameters": values, "variables": dict(predefined)}, (path,))
    return _Expansion(files).scoped(tree.without("parameters"), context), values


class _Expansion:
    def __init__(self, files: Files) -> None:
        self.files = files

    def scoped(self, tree: Mapping, context: _Context) -> Mapping:
        """Expand a pipeline, stage or job: its variables first, because all the rest can name them."""
        variables = dict(context.scope["variables"])
        context = context.naming(variables=variables)
        first = tree.get("variables")
        expanded: Mapping | Sequence | None = None
        if isinstance(first, Mapping):
            expanded = Mapping(first.place, _defining(self._entries(first, context), variables))
        elif isinstance(first, Sequence):
            expanded = Sequence(first.place, _listing(self._items(first, context, "variables"), variables))
        elif first:
            raise PipelineError(tree.places["variables"], "`variables` is a mapping, or a list of `- name: …`.")
        head = [] if expanded is None else [("variables", expanded, tree.places["variables"])]
        rest = tree if first is None else tree.without("variables")
        return Mapping(tree.place, [*head, *self._entries(rest, context)])

    def _tree(self, tree: Any, place: Place, context: _Context, kind: str = "") -> Any:
        if isinstance(tree, Mapping):
            if kind in {"stages", "jobs"}:
                return self.scoped(tree, context)
            return Mapping(tree.place, self._entries(tree, context))
        if isinstance(tree, Sequence):
            return Sequence(tree.place, self._items(tree, context, kind))
        value = _filled(tree, place, context)
        return value if isinstance(value, Mapping | Sequence) else as_text(value)

    def _entries(self, tree: Mapping, context: _Context) -> Iterator[tuple[str, Any, Place]]:
        """Expand the entries of a mapping, with those of its `${{ if }}:` and the like."""
        chain: bool | None = None
        for key, value in tree.items():
            place = tree.places[key]
            if not (directive := _DIRECTIVE.fullmatch(key)):
                chain = None
                name = as_text(_filled(key, place, context))
                yield name, self._tree(value, place, context, name if name in _KINDS else ""), place
                continue
            chain, inners = _chosen(directive, place, context, chain)
            for inner in inners:
                inside = value if isinstance(value, Mapping) else self._tree(value, place, inner)
                if not isinstance(inside, Mapping):
                    raise PipelineError(
                        place, f"below `{key}` in a mapping stand `key: value` lines, not a list or text."
                    )
                if inside is value:
                    yield from self._entries(inside, inner)
                else:
                    yield from inside.entries()

    def _items(self, tree: Sequence, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
        """Expand the items of a sequence, with those of its templates and of `- ${{ if }}:` and the like."""
        chain: bool | None = None
        for item, place in tree.entries():
            directives = [_DIRECTIVE.fullmatch(key) for key in item] if isinstance(item, Mapping) else [None]
            if not all(directives) or not directives:
                chain = None
                if kind and isinstance(item, Mapping) and "template" in item:
                    yield from self._included(item, context, kind)
                    continue
                value = self._tree(item, place, context, kind)
                inline = isinstance(value, Sequence) and not isinstance(item, Sequence)
                yield from value.entries() if inline else [(value, place)]
                continue
            if any(isinstance(value, Mapping) for value in item.values()):
                # One item, whose keys come from `${{ each pair in step }}:` or the like.
                if value := self._tree(item, place, context, kind):
                    yield value, place
                continue
            for directive, value, at in zip(directives, item.values(), item.places.values(), strict=True):
                assert directive is not None
                chain, inners = _chosen(directive, at, context, chain)
                for inner in inners:
                    if isinstance(value, Sequence):
                        yield from self._items(value, inner, kind)
                    else:
                        inside = self._tree(value, at, inner, kind)
                        many = isinstance(inside, Sequence)
                        yield from inside.entries() if many else [(inside, at)]

    def _included(self, item: Mapping, context: _Context, kind: str) -> Iterator[tuple[Any, Place]]:
        place = item.places["template"]
        for key in item:
            if key not in {"template", "parameters"}:
                raise PipelineError(item.places[key], f"`{key}` can't stand beside `template`: only `parameters` can.")
        path = _path_of(as_text(_filled(item["template"], place, context)), place)
        if path in context.chain:
            chain = " → ".join((*context.chain[context.chain.index(path) :], path))
            raise PipelineError(place, f"the template includes itself ({chain}): take this line out.")
        context.counted.append(path)
        if len(context.counted) > _MOST_FILES:
            raise PipelineError(place, f"more than {_MOST_FILES} templates are included: Azure Pipelines stops there.")
        tree = load(self.files, path, place)
        for key in tree:
            if key not in {"parameters", kind}:
                raise PipelineError(
                    tree.places[key], f"a template of {kind} has `parameters` and `{kind}`, not `{key}`."
                )
        if kind not in tree:
            raise PipelineError(place, f"{path} has no `{kind}` to be put here.")
        given = self._tree(item.get("parameters", Mapping(place)), place, context)
        at = item.places.get("parameters", place)
        values = parameters.of_template(parameters.declared(tree), given, at, path)
        scope = {"parameters": values, "variables": context.scope["variables"]}
        inner = replace(context, chain=(*context.chain, path), scope=scope)
        value = tree[kind]
        if kind == "variables" and isinstance(value, Mapping):
            for name, content, at in self._entries(value, inner):
                yield Mapping(at, [("name", name, at), ("value", content, at)]), at
            return
        if not isinstance(value, Sequence):
            raise PipelineError(tree.places[kind], f"`{kind}` is a list: begin each entry with `- `.")
        yield from self._items(value, inner, kind)


def _defining(entries: Iterator[tuple[str, Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[str, Any, Place]]:
    """Pass on the entries of `variables`; the next ones can name those before."""
    for key, value, place in entries:
        variables[key] = value
        yield key, value, place


def _listing(items: Iterator[tuple[Any, Place]], variables: dict[str, Any]) -> Iterator[tuple[Any, Place]]:
    for item, place in items:
        if isinstance(item, Mapping) and "name" in item:
            variables[str(item["name"])] = item.get("value", "")
        yield item, place


def _chosen(
    directive: "re.Match[str]", place: Place, context: _Context, chain: bool | None
) -> tuple[bool | None, list[_Context]]:
    """Whether the chain of `if`s has had its turn (None: there is none), and the contexts to take the inside in."""
    word, text = directive[1], directive[2]
    if word == "insert":
        return None, [context]
    if word == "each":
        return None, list(_rounds(text, place, context))
    if word == "if":
        chain = False
    elif chain is None:
        raise PipelineError(place, f"`{word}` follows no `if`: put it directly below one.")
    taken = not chain and (word == "else" or is_true(_worked_out(text, place, context)))
    return None if word == "else" else (chain or taken), [context] if taken else []


def _rounds(text: str, place: Place, context: _Context) -> Iterator[_Context]:
    each = _EACH.fullmatch(text)
    if each is None:
        raise PipelineError(place, "write it as `${{ each NAME in LIST }}:`.")
    values = _worked_out(each[2], place, context)
    if isinstance(values, dict):
        values = [{"key": key, "value": value} for key, value in values.items()]
    if not isinstance(values, list):
        if values not in {None, ""}:
            raise PipelineError(
                place, f"`{each[2].strip()}` is neither a list nor an object, so `each` can't go through it."
            )
        return
    for value in values:
        yield context.naming(**{each[1]: value})


def _filled(text: str, place: Place, context: _Context) -> Any:
    """Text with its `${{ }}` worked out; what is nothing but one of those keeps its type."""
    if "${{" not in text:
        return text
    if "${{" in _EXPRESSION.sub("", text):
        raise PipelineError(place, "`${{` is not closed: add `}}`.")
    whole = _EXPRESSION.match(text.strip())
    if whole and whole.end() == len(text.strip()):
        return _worked_out(whole[1], place, context)

    def one(match: "re.Match[str]") -> str:
        try:
            return as_text(_worked_out(match[1], place, context))
        except ExpressionError as error:
            raise PipelineError(place, str(error)) from error

    return _EXPRESSION.sub(one, text)


def _worked_out(text: str, place: Place, context: _Context) -> Any:
    try:
        return evaluate(text, context.scope)
    except ExpressionError as error:
        raise PipelineError(place, str(error)) from error


def _path_of(written: str, place: Place) -> str:
    written = written.removesuffix("@self")
    if "@" in written:
        raise PipelineError(place, f"`{written}` is in another repository, which this agent does not implement.")
    folder = "" if written.startswith("/") else posixpath.dirname(place.file)
    path = posixpath.normpath(posixpath.join(folder, written.lstrip("/")))
    if path.split("/")[0] == ".." or not written.isprintable():
        raise PipelineError(place, f"{written!r} leads out of the repository: name a file inside it.")
    return path
