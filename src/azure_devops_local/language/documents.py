"""YAML as Azure Pipelines reads it: every scalar is text, and everything knows the file and line that it came from."""

from collections.abc import Iterator
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
"""Where Azure DevOps itself looks for a pipeline first."""
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Place:
    """Where something stands."""

    file: str
    """The path from the repository's root."""
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class PipelineError(UserError):
    """Something in a pipeline file that has to be changed, with the place where it stands."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place


class Mapping(dict[str, Any]):
    """A YAML mapping; `places` has the place of each key."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: Any, place: Place) -> None:
        """Set `key`, which stands at `place`."""
        self[key] = value
        self.places[key] = place


class Sequence(list[Any]):
    """A YAML sequence; `places` has the place of each item."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: list[Place] = []

    def put(self, value: Any, place: Place) -> None:
        """Append `value`, which stands at `place`."""
        self.append(value)
        self.places.append(place)


class Files(Protocol):
    """The files of one state of the repository; paths are relative to its root, with `/`."""

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it does not exist."""

    def pipelines(self) -> list[str]:
        """Return the YAML files directly in the pipelines' folder, by name, and then the one at the root."""


@dataclass(frozen=True)
class WorkTree:
    """The files as they lie in a checkout."""

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
    """The files as a commit has them."""

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
    found: dict[str, str] = {}
    for path in files.pipelines():
        found.setdefault(path.rpartition("/")[2], path)
    return found


def load(files: Files, path: str, asked: Place | None = None) -> Mapping:
    """Read one file, which is asked for at the place `asked`.

    Raises:
        PipelineError: it is not there, is no YAML, or uses YAML that Azure Pipelines does not know.
    """
    try:
        text = files.read(path)
    except UnicodeDecodeError as error:
        raise PipelineError(Place(path, 1), "the file is not UTF-8 text: save it as UTF-8.") from error
    if text is None:
        problem = f"there is no file {path}: mend the path or add the file."
        raise PipelineError(asked or Place(path, 1), problem)
    tree = parse(text, path)
    if not isinstance(tree, Mapping):
        problem = "a pipeline file is a mapping: `key: value` at the left margin."
        raise PipelineError(Place(path, 1), problem if text.strip() else "the file is empty.")
    return tree


@lru_cache(maxsize=64)  # a check reads a template once for each file and each choice that includes it
def parse(text: str, path: str) -> Any:
    """Return the tree of a YAML text of the file `path`; empty text is an empty scalar. Callers do not change the tree.

    Raises:
        PipelineError: it is no YAML, or uses YAML that Azure Pipelines does not know.
    """
    try:
        node = YAML(typ="rt", pure=True).compose(text)
        return "" if node is None else _tree(node, path, set())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not YAML: {error.problem or error.context}."
        raise PipelineError(Place(path, mark.line + 1 if mark else 1), problem) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PipelineError(Place(path, line), "this is not YAML: there is a control character in it.") from error
    except RecursionError as error:
        raise PipelineError(Place(path, 1), "this is nested too deeply: take some levels out.") from error


def walk(tree: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """Everything in a tree, itself first, with the place of each."""
    yield tree, place
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from walk(value, tree.places[key])
    elif isinstance(tree, Sequence):
        for value, where in zip(tree, tree.places, strict=True):
            yield from walk(value, where)


def _tree(node: Any, path: str, seen: set[int]) -> Any:
    place = Place(path, node.start_mark.line + 1)
    if id(node) in seen or node.anchor is not None:
        raise PipelineError(place, "Azure Pipelines knows no YAML anchors (&, *): write it out, or use a template.")
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)
    if isinstance(node, SequenceNode):
        items = Sequence(place)
        for child in node.value:
            items.put(_tree(child, path, seen), Place(path, child.start_mark.line + 1))
        return items
    assert isinstance(node, MappingNode)
    mapping = Mapping(place)
    for key_node, value_node in node.value:
        at = Place(path, key_node.start_mark.line + 1)
        if not isinstance(key_node, ScalarNode):
            raise PipelineError(at, "a key must be text.")
        if key_node.value in mapping:
            raise PipelineError(at, f"the key `{key_node.value}` stands here a second time.")
        mapping.put(str(key_node.value), _tree(value_node, path, seen), at)
    return mapping
