"""Mistakes in pipeline files that a schema does not find, and settings that still hold a placeholder."""

import re
from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import PurePosixPath

from azure_devops_local.language import schedules
from azure_devops_local.language.documents import FOLDER, Files, Mapping, PipelineError, Place, WorkTree, by_name, load
from azure_devops_local.language.parameters import declared
from azure_devops_local.language.reading import read_pipeline
from azure_devops_local.language.triggers import Push, decide
from kit_common.errors import UserError

VARIABLES = f"{FOLDER}/variables.yml"
_SETTING = re.compile(r"#setup (?P<where>.*)\n(?:\s*#.*\n)*\s*- name: (?P<name>\S+)\n\s*value: (?P<value>.*)")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
_BRANCHES = ("refs/heads/main", "refs/heads/integration", "refs/heads/dev-ana")

Values = abc.Mapping[str, str]


@dataclass(frozen=True)
class Setting:
    """A value in `variables.yml` that a team sets."""

    name: str
    value: str
    where: str
    """How to find the value."""
    place: Place

    @property
    def is_open(self) -> bool:
        """Whether the value is a placeholder."""
        return _PLACEHOLDER.search(self.value) is not None


@dataclass(frozen=True)
class _With:
    """The files of `files`, with another text for one of them."""

    files: Files
    path: str
    text: str

    def read(self, path: str) -> str | None:
        return self.text if path == self.path else self.files.read(path)

    def pipelines(self) -> list[str]:
        return self.files.pipelines()


def settings(files: Files) -> list[Setting]:
    """Return the values of `variables.yml` that are marked #setup."""
    text = files.read(VARIABLES) or ""
    return [
        Setting(**match.groupdict(), place=Place(VARIABLES, text.count("\n", 0, match.start("value")) + 1))
        for match in _SETTING.finditer(text)
    ]


def unfilled(files: Files, used_only_with: abc.Mapping[str, Values]) -> list[Setting]:
    """Return the settings that hold a placeholder and that the choices of `variables.yml` need.

    Args:
        files: the files.
        used_only_with: by setting, the choices that need it; any other setting is always needed.
    """
    every = settings(files)
    chosen = {setting.name: setting.value for setting in every}
    return [
        setting
        for setting in every
        if setting.is_open
        and all(chosen.get(name, value) == value for name, value in used_only_with.get(setting.name, {}).items())
    ]


def problems(tree: WorkTree, choices: Sequence[Values] = ({},)) -> list[str]:
    """Return the problems of a checkout's pipelines, one sentence each.

    Each pipeline is read for each branch, with each of the choices, and with each of its boolean parameters flipped.

    Args:
        tree: the checkout.
        choices: by name, values of `variables.yml` on which the files depend.
    """
    sentences: dict[str, None] = {}  # in order, each once
    verdicts = decide(tree, Push("refs/heads/main", []))
    if not verdicts:
        return [f"There are no pipelines in {tree.root / FOLDER}."]
    paths = by_name(tree)
    for name, verdict in verdicts.items():
        path = paths[name]
        if verdict.broken:
            sentences[verdict.rule] = None
            continue
        sentences |= dict.fromkeys(_missing_paths(tree, load(tree, path)))
        try:
            readings = _parameters(load(tree, path))
        except PipelineError as error:
            sentences[str(error)] = None
            continue
        for files, branch, given in product(_variants(tree, choices), _BRANCHES, readings):
            try:
                read_pipeline(files, path, given, {"Build.SourceBranch": branch, "Build.Reason": "Manual"})
            except UserError as error:
                sentences[str(error)] = None
    return list(sentences)


def scheduled(tree: WorkTree) -> list[schedules.Schedule]:
    """Return the schedules of the pipelines that can be read."""
    found = []
    for path in by_name(tree).values():
        with suppress(PipelineError):
            found += schedules.read(load(tree, path))
    return found


def _variants(files: Files, choices: Sequence[Values]) -> Iterator[Files]:
    for choice in choices:
        text = files.read(VARIABLES) or ""
        for name, value in choice.items():
            text = re.sub(rf"(- name: {name}\n\s*value: ).*", rf"\g<1>{value}", text)
        yield _With(files, VARIABLES, text)


def _parameters(pipeline: Mapping) -> list[dict[str, str]]:
    """Return the parameters of each reading: none, and each boolean one flipped."""
    switches = [each for each in declared(pipeline, root=True).values() if each.type == "boolean"]
    return [{}, *({each.name: str(each.default is not True)} for each in switches)]


def _missing_paths(tree: WorkTree, pipeline: Mapping) -> Iterator[str]:
    """Yield the path filters that match no file, for example because it was renamed."""
    trigger = pipeline.get("trigger")
    paths = trigger.get("paths", {}) if isinstance(trigger, Mapping) else {}
    for filters in paths.values():
        for text, place in filters.entries():
            fixed = PurePosixPath(re.split(r"[*?]", text)[0].rstrip("/") if re.search(r"[*?]", text) else text)
            if not (tree.root / fixed).exists():
                problem = f"the path filter {text} matches nothing in the repository: correct or remove it."
                yield str(PipelineError(place, problem))
