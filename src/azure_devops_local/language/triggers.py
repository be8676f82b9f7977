"""Which pipelines a push starts, and which rule says so."""

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
# What the vendor's schema allows in a filter: no `/` at the ends or doubled, and none of these characters.
_FILTER = re.compile(r"[^/~^:\s\[\]\\]+(?:/[^/~^:\s\[\]\\]+)*")


@dataclass(frozen=True)
class Push:
    """What has been pushed to one branch or tag."""

    ref: str
    """In full: `refs/heads/main`."""
    changed: abc.Sequence[str]
    """The changed files' paths from the repository's root."""
    message: str = ""
    """The whole message of the commit that the branch or tag has now."""


@dataclass(frozen=True)
class Verdict:
    """Whether a push starts a pipeline."""

    triggered: bool
    rule: str
    """The rule that says so, as a sentence without capital and full stop."""
    batch: bool = False
    """Pushes that arrive during a run wait for its end and then share one run."""
    broken: bool = False
    """The file can't be understood; `rule` says why."""


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

    def judge(self, name: str) -> tuple[bool, str]:
        """Includes come first, then what is excluded is taken away; without includes everything is included."""
        subject = f"the {self.noun} {_printable(name)}"
        if excluded := _first_match(self.exclude, name):
            return False, f"{subject} is excluded by {excluded}"
        if included := _first_match(self.include, name):
            return True, f"{subject} is included by {included}"
        filters = self.include or self.exclude
        named = ", ".join(map(str, filters)) if len(filters) <= 3 else f"any of {len(filters)} filters"
        return not self.include, f"{subject} is not {'included' if self.include else 'excluded'} by {named}"

    def judge_files(self, paths: abc.Sequence[str]) -> tuple[bool, str]:
        """One changed file that is included and not excluded is enough."""
        rule = "no file is changed, and it has path filters"
        for path in paths:
            triggered, rule = self.judge(path)
            if triggered:
                return True, rule
        return False, f"none of the {len(paths)} changed files matches its path filters" if len(paths) > 1 else rule


def decide(files: Files, push: Push) -> dict[str, Verdict]:
    """Say for each pipeline file whether the push starts it, by file name.

    A file that can't be understood has a verdict too, and hides no other; one without work in it (variables) has none.
    """
    verdicts = {}
    for name, path in by_name(files).items():
        try:
            tree = load(files, path)
            _refuse_hidden(tree)
            if tree.keys() & _WORK:
                verdicts[name] = _verdict(tree, push)
        except PipelineError as error:
            verdicts[name] = Verdict(False, _printable(str(error)), broken=True)
    return verdicts


def concerned(files: Files, path: str, changed: abc.Sequence[str]) -> bool:
    """Whether a pipeline's path filters let these changes through, whatever its branch filters say.

    Raises:
        PipelineError: the file can't be understood.
    """
    tree = load(files, path)
    filters = _read(tree["trigger"], tree.places["trigger"]) if "trigger" in tree else {}
    return "paths" not in filters or filters["paths"].judge_files(changed)[0]


def _refuse_hidden(tree: Mapping) -> None:
    for key, value in tree.items():
        if key.startswith("${{") and isinstance(value, Mapping) and value.keys() & {*_WORK, "trigger"}:
            problem = (
                "a pipeline's trigger and work can't depend on an expression here: write their keys at the margin."
            )
            raise PipelineError(tree.places[key], problem)


def _verdict(tree: Mapping, push: Push) -> Verdict:
    # Read first: a trigger that is wrong is wrong whatever was pushed.
    filters = _read(tree["trigger"], tree.places["trigger"]) if "trigger" in tree else None
    kind = next((kind for kind in ("branches", "tags") if push.ref.startswith(_KINDS[kind][1])), None)
    if mark := next((mark for mark in _SKIP_MARKS if mark in push.message), None):
        return Verdict(False, f"the commit's message says {mark}")
    if kind is None:
        return Verdict(False, f"{_printable(push.ref)} is neither a branch nor a tag")
    if filters is None and kind == "branches":
        return Verdict(True, "it has no `trigger`, so every branch starts it")
    if filters == {}:
        return Verdict(False, "it says `trigger: none`, so it is only started by hand")
    if filters is None or kind not in filters:
        return Verdict(False, f"its trigger names no {kind}, so a {_KINDS[kind][0]} does not start it")
    triggered, rule = filters[kind].judge(push.ref.removeprefix(_KINDS[kind][1]))
    if triggered and kind == "branches" and "paths" in filters:
        triggered, path_rule = filters["paths"].judge_files(push.changed)
        rule = f"{rule}, and {path_rule}" if triggered else path_rule
    batch = isinstance(tree["trigger"], Mapping) and tree["trigger"].get("batch", "").lower() == "true"
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
        raise PipelineError(place, "`trigger` is `none`, a list of branches, or has `branches`, `tags` and `paths`.")
    fields.only(value, "`trigger`", ("batch", *_KINDS))
    if str(value.get("batch", "false")).lower() not in {"true", "false"}:
        raise PipelineError(value.places["batch"], "`batch` is true or false.")
    found = {kind: _include_exclude(value[kind], value.places[kind], kind) for kind in _KINDS if kind in value}
    if "paths" in found and "branches" not in found:
        raise PipelineError(value.places["paths"], "`paths` needs `branches` beside it: say which branches it is for.")
    if not found:
        raise PipelineError(place, "`trigger` names neither branches nor tags: add `branches`, or take it out.")
    return found


def _include_exclude(value: Any, place: Place, kind: str) -> _Filters:
    if not isinstance(value, Mapping) or not value:
        raise PipelineError(place, f"`{kind}` has a list `include`, a list `exclude`, or both.")
    fields.only(value, f"`{kind}`", ("include", "exclude"))
    lists = {key: _filters(value[key], value.places[key], kind) for key in value}
    for deeper in lists.get("include", ()) if kind == "paths" else ():
        outer = _first_match(lists.get("exclude", ()), deeper.text)
        if outer and outer.text != deeper.text:
            problem = f"`{deeper.text}` lies within the exclude {outer}, and Azure's documents disagree on which wins"
            raise PipelineError(Place(place.file, deeper.line), f"{problem}: make the exclude narrower.")
    return _Filters(_KINDS[kind][0], **lists)


def _filters(items: Any, place: Place, kind: str) -> tuple[_Filter, ...]:
    if not isinstance(items, Sequence) or not items:
        raise PipelineError(place, f"a list of {kind} is needed here, with at least one in it.")
    return tuple(_filter(item, where, kind) for item, where in items.entries())


def _filter(text: Any, place: Place, kind: str) -> _Filter:
    noun, prefix = _KINDS[kind]
    if not isinstance(text, str) or not _FILTER.fullmatch(text):
        allowed = "no `/` at either end or doubled, no space, none of ~ ^ : [ ] \\"
        raise PipelineError(place, f"`{text}` is no {noun} filter: {allowed}.")
    name = text.removeprefix(prefix)
    if prefix and name.startswith("refs/"):
        raise PipelineError(place, f"`{text}` is no {noun}: list branches under `branches` and tags under `tags`.")
    patterns = [name, f"{name}/*"] if kind == "paths" and not re.search(r"[*?]", name) else [name]  # it may be a folder
    return _Filter(text, place.line, re.compile("|".join(map(fnmatch.translate, patterns))))


def _first_match(filters: tuple[_Filter, ...], name: str) -> _Filter | None:
    return next((each for each in filters if each.pattern.match(name)), None)


def _printable(text: str) -> str:
    """Text from outside for a sentence on a terminal, which must not be steered by control characters in it."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
