"""YAML as Azure Pipelines reads it: every scalar is text, and each value has a file and a line.

Only an object parameter has values of other types: `Plain` marks the text that may be one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from kit_common import git
from kit_common.errors import UserError

FOLDER = ".azure_pipelines"
AT_ROOT = ("azure-pipelines.yml", "azure-pipelines.yaml")
"""The default names of a pipeline's file in Azure DevOps."""
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    """The path from the repository's root."""
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class PipelineError(UserError):
    """A mistake in a pipeline file, at its place."""

    def __init__(self, place: Place, problem: str) -> None:
        problem = " ".join(problem.split())  # what it quotes may have several lines
        super().__init__(f"{place}: {problem}")
        self.place, self.problem = place, problem


class Plain(str):
    """A scalar without quotes: as part of an object parameter it can be a number, true, false or null."""

    __slots__ = ()


class Mapping(dict[str, Any]):
    """A YAML mapping, whose keys differ by more than their case; `places` has the place of each."""

    def __init__(self, place: Place, entries: Iterable[tuple[str, Any, Place]] = ()) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}
        seen: dict[str, str] = {}
        for key, value, at in entries:
            folded = key if "${{" in key else key.lower()
            if folded in seen:
                as_other = "" if seen[folded] == key else f", as `{seen[folded]}`"
                raise PipelineError(at, f"the key `{key}` is repeated{as_other}: remove one of the two.")
            self[key], self.places[key], seen[folded] = value, at, key

    def entries(self) -> Iterator[tuple[str, Any, Place]]:
        """Yield each key with its value and its place."""
        return ((key, value, self.places[key]) for key, value in self.items())

    def place_of(self, key: str) -> Place:
        """Return the place of a key, or that of the mapping if the key is missing."""
        return self.places.get(key, self.place)

    def error(self, key: str, problem: str) -> PipelineError:
        """Return an error at the place of a key."""
        return PipelineError(self.place_of(key), problem)

    def without(self, key: str) -> "Mapping":
        """Return a copy without that key."""
        return Mapping(self.place, (entry for entry in self.entries() if entry[0] != key))


class Sequence(list[Any]):
    """A YAML sequence; `places` has the place of each item."""

    def __init__(self, place: Place, items: Iterable[tuple[Any, Place]] = ()) -> None:
        super().__init__()
        self.place = place
        self.places: list[Place] = []
        for item, at in items:
            self.append(item)
            self.places.append(at)

    def entries(self) -> Iterator[tuple[Any, Place]]:
        """Yield each item with its place."""
        return zip(self, self.places, strict=True)


class Files(Protocol):
    """The files of one state of the repository; paths are relative to its root, with `/`."""

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it does not exist."""

    def pipelines(self) -> list[str]:
        """Return the YAML files directly in the pipelines' folder, by name, and then the one at the root."""


@dataclass(frozen=True)
class WorkTree:
    """The files of a checkout."""

    root: Path

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it does not exist."""
        file = self.root / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def pipelines(self) -> list[str]:
        """Return the YAML files directly in the pipelines' folder, by name, and then the one at the root."""
        found = [path for path in (self.root / FOLDER).glob("*") if path.suffix in _SUFFIXES]
        at_root = [name for name in AT_ROOT if (self.root / name).is_file()]
        return sorted(path.relative_to(self.root).as_posix() for path in found) + at_root


@dataclass(frozen=True)
class Commit:
    """The files of a commit."""

    repository: Path
    commit: str

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it does not exist."""
        shown = git.run(self.repository, "cat-file", "blob", f"{self.commit}:{path}")
        return shown.stdout.decode("utf-8") if shown.returncode == 0 else None

    def pipelines(self) -> list[str]:
        """Return the YAML files directly in the pipelines' folder, by name, and then the one at the root."""
        listed = git.run(self.repository, "ls-tree", "-z", "--name-only", self.commit, f"{FOLDER}/", *AT_ROOT)
        return sorted(path for path in listed.stdout.decode("utf-8").split("\0") if path.endswith(_SUFFIXES))


def by_name(files: Files) -> dict[str, str]:
    """Return the path of each pipeline by its file's name; of two with one name, that in the pipelines' folder."""
    paths: dict[str, str] = {}
    for path in files.pipelines():
        paths.setdefault(path.rpartition("/")[2], path)
    return paths


def load(files: Files, path: str, included_at: Place | None = None) -> Mapping:
    """Read one file.

    Raises:
        PipelineError: it is missing, is not YAML, or uses YAML that Azure Pipelines does not support.
    """
    try:
        text = files.read(path)
    except UnicodeDecodeError as error:
        raise PipelineError(Place(path, 1), "the file is not UTF-8 text: save it as UTF-8.") from error
    if text is None:
        problem = f"there is no file {path}: correct the path or add the file."
        raise PipelineError(included_at or Place(path, 1), problem)
    tree = parse(text, path)
    if not isinstance(tree, Mapping):
        problem = "a pipeline file is a mapping: `key: value` at the left margin."
        raise PipelineError(Place(path, 1), problem if text.strip() else "the file is empty.")
    return tree


@lru_cache(maxsize=64)  # `check` reads a template once for each file and each choice that includes it
def parse(text: str, path: str) -> Any:
    """Return the tree of a YAML text, which callers must not change; `path` is for the places.

    Raises:
        PipelineError: it is not YAML, or uses YAML that Azure Pipelines does not support.
    """
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        return "" if node is None else _tree(node, path)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not YAML: {error.problem or error.context}."
        raise PipelineError(Place(path, mark.line + 1 if mark else 1), problem) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PipelineError(Place(path, line), "this is not YAML: it contains a control character.") from error
    except RecursionError as error:
        raise PipelineError(Place(path, 1), "this is nested too deeply: remove some levels.") from error


def walk(tree: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """Yield each node of a tree with its place, the tree itself first."""
    yield tree, place
    if isinstance(tree, Mapping | Sequence):
        for *_, value, where in tree.entries():
            yield from walk(value, where)


def tree_of(value: Any, place: Place) -> Any:
    """Return a tree of lists and mappings at one place for any lists and dictionaries."""
    if isinstance(value, dict) and not isinstance(value, Mapping):
        return Mapping(place, ((key, tree_of(inner, place), place) for key, inner in value.items()))
    if isinstance(value, list) and not isinstance(value, Sequence):
        return Sequence(place, ((tree_of(inner, place), place) for inner in value))
    return value


def _tree(node: Any, path: str) -> Any:
    place = _place(node, path)
    if node.anchor is not None:
        raise PipelineError(
            place, "Azure Pipelines does not support YAML anchors (&, *): repeat the text, or use a template."
        )
    if isinstance(node, ScalarNode):
        if node.style or node.tag == "tag:yaml.org,2002:str":
            return str(node.value)
        return Plain("" if node.tag == "tag:yaml.org,2002:null" else node.value)
    if isinstance(node, SequenceNode):
        return Sequence(place, ((_tree(item, path), _place(item, path)) for item in node.value))
    assert isinstance(node, MappingNode)
    seen: set[str] = set()
    return Mapping(place, ((_key(key, path, seen), _tree(value, path), _place(key, path)) for key, value in node.value))


def _key(node: Any, path: str, seen: set[str]) -> str:
    """Return a key; `${{ else }}` and the like can be repeated, and then have a further blank to be told apart."""
    if not isinstance(node, ScalarNode):
        raise PipelineError(_place(node, path), "a key must be text.")
    key = str(node.value)
    while key in seen and key.startswith("${{"):
        key = key.replace("${{", "${{ ", 1)
    seen.add(key)
    return key


def _place(node: Any, path: str) -> Place:
    return Place(path, node.start_mark.line + 1)
