"""Triggers: which pipelines a push starts, and by which rule."""

import fnmatch
import re
from collections import abc
from dataclasses import dataclass
from typing import Any

from azure_devops_local.language import fields
from azure_devops_local.language.documents import Files, Mapping, PipelineError, Place, Sequence, by_name, load, walk

_TOOLS = ("ci", "azurepipelines", "azpipelines", "azp")
_SKIP_MARKS = (
    *(mark for tool in _TOOLS for mark in (f"[skip {tool}]", f"[{tool} skip]")),
    *("skip-checks: true", "skip-checks:true", "***NO_CI***"),
)
_WORK = {"stages", "jobs", "steps", "extends"}
_KINDS = {"branches": ("branch", "refs/heads/"), "tags": ("tag", "refs/tags/"), "paths": ("path", "")}
# As in the vendor's schema.
_FILTER = re.compile(r"[^/~^:\s\[\]\\]+(?:/[^/~^:\s\[\]\\]+)*")


@dataclass(frozen=True)
class Push:
    """A push to one branch or tag."""

    ref: str
    """In full: `refs/heads/main`."""
    changed: abc.Sequence[str]
    """Paths of the changed files from the repository's root."""
    message: str = ""
    """The whole messages of the pushed commits."""


@dataclass(frozen=True)
class Verdict:
    """Whether a push starts a pipeline."""

    triggered: bool
    rule: str
    """The reason, as a sentence without capital and full stop."""
    batch: bool = False
    """Pushes that arrive during a run wait for its end and then share one run."""
    broken: bool = False
    """The file is wrong; `rule` is the error."""


@dataclass(frozen=True)
class _Filter:
    text: str
    line: int
    pattern: re.Pattern[str]

    def __str__(self) -> str:
        return f"`{self.text}` (line {self.line})"


@dataclass(frozen=True)
class _Filters:
    noun: str
    include: tuple[_Filter, ...] = ()
    exclude: tuple[_Filter, ...] = ()

    def match(self, name: str) -> tuple[bool, str]:
        """Return whether a name is included and not excluded, and the reason; without includes all are included."""
        subject = f"the {self.noun} {_printable(name)}"
        if excluded := _first_match(self.exclude, name):
            return False, f"{subject} is excluded by {excluded}"
        if included := _first_match(self.include, name):
            return True, f"{subject} is included by {included}"
        filters = self.include or self.exclude
        named = ", ".join(map(str, filters)) if len(filters) <= 3 else f"any of {len(filters)} filters"
        return not self.include, f"{subject} is not {'included' if self.include else 'excluded'} by {named}"

    def match_any(self, paths: abc.Sequence[str]) -> tuple[bool, str]:
        """Return whether at least one path matches, and the reason."""
        rule = "no file is changed, and it has path filters"
        for path in paths:
            triggered, rule = self.match(path)
            if triggered:
                return True, rule
        return False, f"none of the {len(paths)} changed files matches its path filters" if len(paths) > 1 else rule


def decide(files: Files, push: Push) -> dict[str, Verdict]:
    """Return for each pipeline file, by name, whether the push starts it.

    A wrong file has a verdict, too; a file without stages, jobs or steps, such as `variables.yml`, has none.
    """
    verdicts = {}
    for name, path in by_name(files).items():
        try:
            tree = load(files, path)
            for key, value, place in tree.entries():
                if key.startswith("${{") and isinstance(value, Mapping) and value.keys() & {*_WORK, "trigger"}:
                    problem = (
                        "a pipeline's trigger and work can't depend on an expression: write their keys at the margin."
                    )
                    raise PipelineError(place, problem)
            if tree.keys() & _WORK:
                verdicts[name] = _verdict(tree, push)
        except PipelineError as error:
            verdicts[name] = Verdict(False, _printable(str(error)), broken=True)
    return verdicts


def concerned(files: Files, path: str, changed: abc.Sequence[str]) -> bool:
    """Return whether one of these changes matches a pipeline's path filters; branch filters are ignored.

    Raises:
        PipelineError: the file is wrong.
    """
    tree = load(files, path)
    filters = _read(tree["trigger"], tree.places["trigger"]) if "trigger" in tree else {}
    return "paths" not in filters or filters["paths"].match_any(changed)[0]


def _verdict(tree: Mapping, push: Push) -> Verdict:
    # Read first: a wrong trigger is an error whatever was pushed.
    filters = _read(tree["trigger"], tree.places["trigger"]) if "trigger" in tree else None
    kind = next((kind for kind in ("branches", "tags") if push.ref.startswith(_KINDS[kind][1])), None)
    if mark := next((mark for mark in _SKIP_MARKS if mark in push.message), None):
        return Verdict(False, f"the message of a pushed commit contains {mark}")
    if kind is None:
        return Verdict(False, f"{_printable(push.ref)} is neither a branch nor a tag")
    if filters is None and kind == "branches":
        return Verdict(True, "it has no `trigger`, so every branch starts it")
    if filters == {}:
        return Verdict(False, "it has `trigger: none`, so it is only started manually")
    if filters is None or kind not in filters:
        return Verdict(False, f"its trigger names no {kind}, so a {_KINDS[kind][0]} does not start it")
    triggered, rule = filters[kind].match(push.ref.removeprefix(_KINDS[kind][1]))
    if triggered and kind == "branches" and "paths" in filters:
        triggered, path_rule = filters["paths"].match_any(push.changed)
        rule = f"{rule}, and {path_rule}" if triggered else path_rule
    batch = isinstance(tree["trigger"], Mapping) and fields.flag(tree["trigger"], "batch")
    return Verdict(triggered, rule, batch)


def _read(value: Any, place: Place) -> dict[str, _Filters]:
    for node, where in walk(value, place):
        if isinstance(node, str) and re.search(r"\$[({[]", node):
            raise PipelineError(where, f"a trigger can't contain expressions or variables: write `{node}` out.")
    if value == "none":
        return {}
    if isinstance(value, Sequence):
        return {"branches": _Filters("branch", _filters(value, place, "branches"))}
    if not isinstance(value, Mapping):
        problem = "`trigger` is `none`, a list of branches, or a mapping with `branches`, `tags` and `paths`."
        raise PipelineError(place, problem)
    fields.only(value, "`trigger`", ("batch", *_KINDS))
    fields.flag(value, "batch")
    found = {kind: include_exclude(value[kind], value.places[kind], kind) for kind in _KINDS if kind in value}
    if "paths" in found and "branches" not in found:
        raise value.error("paths", "`paths` needs `branches` beside it: add the branches that it applies to.")
    if not found:
        raise PipelineError(place, "`trigger` has neither branches nor tags: add `branches`, or remove it.")
    return found


def include_exclude(value: Any, place: Place, kind: str) -> _Filters:
    """Return the filters in a mapping with `include`, `exclude` or both.

    Raises:
        PipelineError: they are wrong.
    """
    if not isinstance(value, Mapping) or not value:
        raise PipelineError(place, f"`{kind}` has a list `include`, a list `exclude`, or both.")
    fields.only(value, f"`{kind}`", ("include", "exclude"))
    lists = {key: _filters(value[key], value.places[key], kind) for key in value}
    for include in lists.get("include", ()) if kind == "paths" else ():
        exclude = _first_match(lists.get("exclude", ()), include.text)
        if exclude and exclude.text != include.text:
            problem = (
                f"`{include.text}` is inside the exclude {exclude}; Azure's documents disagree on which one counts"
            )
            raise PipelineError(Place(place.file, include.line), f"{problem}: make the exclude narrower.")
    return _Filters(_KINDS[kind][0], **lists)


def _filters(items: Any, place: Place, kind: str) -> tuple[_Filter, ...]:
    if not isinstance(items, Sequence) or not items:
        raise PipelineError(place, f"this is a list of {kind} with at least one entry: begin each with `- `.")
    return tuple(_filter(item, where, kind) for item, where in items.entries())


def _filter(text: Any, place: Place, kind: str) -> _Filter:
    noun, prefix = _KINDS[kind]
    if not isinstance(text, str) or not _FILTER.fullmatch(text):
        allowed = "remove `/` at the ends, `//`, spaces and the characters ~ ^ : [ ] \\"
        raise PipelineError(place, f"`{text}` is not a {noun} filter: {allowed}.")
    name = text.removeprefix(prefix)
    if prefix and name.startswith("refs/"):
        raise PipelineError(place, f"`{text}` is not a {noun}: list branches under `branches` and tags under `tags`.")
    patterns = [name, f"{name}/*"] if kind == "paths" and not re.search(r"[*?]", name) else [name]  # it may be a folder
    return _Filter(text, place.line, re.compile("|".join(map(fnmatch.translate, patterns))))


def _first_match(filters: tuple[_Filter, ...], name: str) -> _Filter | None:
    return next((each for each in filters if each.pattern.match(name)), None)


def _printable(text: str) -> str:
    """Return foreign text for a sentence on one line, without control characters."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
