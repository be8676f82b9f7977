"""YAML of pipeline files."""

import subprocess
from pathlib import Path

import pytest

from azure_devops_local.language.documents import Commit, Mapping, PipelineError, Place, Sequence, WorkTree, load, walk
from tests.support.pipeline_files import Fake

FILE = ".azure_pipelines/cd.yml"


def loaded(text: str) -> Mapping:
    return load(Fake({FILE: text}), FILE)


def test_every_scalar_is_text_and_has_a_place() -> None:
    tree = loaded(
        """
        # a comment
        flag: yes
        number: 1.10
        empty:
        list:
        - a
        -   key: on
        text: |
          first
          second
        folded: >
          first
          second
        """
    )
    assert tree == {
        "flag": "yes",
        "number": "1.10",
        "empty": "",
        "list": ["a", {"key": "on"}],
        "text": "first\nsecond\n",
        "folded": "first second\n",
    }
    assert tree.places["number"] == Place(FILE, 3)
    assert tree["list"].places == [Place(FILE, 6), Place(FILE, 7)]
    assert tree["list"][1].places["key"] == Place(FILE, 7)
    assert tree.places["text"] == Place(FILE, 8)
    assert str(tree.place) == f"{FILE}, line 2"


def test_walk_yields_everything_with_its_place() -> None:
    tree = loaded("a: x\nb:\n- y\n- c: z\n")
    met = [(value, place.line) for value, place in walk(tree, tree.place) if not isinstance(value, Mapping | Sequence)]
    assert met == [("x", 1), ("y", 3), ("z", 4)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 'x\n", 2, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "`a` is repeated"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, "not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
        ("", 1, "empty"),
        ("# nothing but this\n", 1, "mapping"),
        ("- a\n", 1, "mapping"),
        ("just text\n", 1, "mapping"),
        ("a: 1\n? [x]\n: 2\n", 2, "a key must be text"),
        ("a: 1\nb: \x00\n", 2, "control character"),
        ("a: " + "[" * 400 + "]" * 400, 1, "too deeply"),
    ],
)
def test_refused_at_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        load(Fake({FILE: text}), FILE)
    assert caught.value.place == Place(FILE, line), caught.value
    assert message in str(caught.value)


def test_a_missing_file_is_reported_where_it_is_included() -> None:
    with pytest.raises(PipelineError, match=r"cd\.yml, line 1: there is no file"):
        load(Fake({}), FILE)
    with pytest.raises(PipelineError, match=r"ci\.yml, line 7: there is no file \.azure_pipelines/cd\.yml"):
        load(Fake({}), FILE, Place("ci.yml", 7))


def test_work_tree_and_commit_show_the_same_files(tmp_path: Path) -> None:
    texts = {FILE: "a: ä\n", ".azure_pipelines/ci.yaml": "b: 1\n", ".azure_pipelines/templates/t.yml": "c: 1\n"}
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    for files in (WorkTree(tmp_path), Commit(tmp_path, "HEAD"), Fake(texts)):
        assert files.pipelines() == [".azure_pipelines/cd.yml", ".azure_pipelines/ci.yaml"]
        assert files.read(FILE) == "a: ä\n"
        assert files.read("absent.yml") is None
        assert files.read(".azure_pipelines") is None


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"a: \xff\n")
    with pytest.raises(PipelineError, match=r"x\.yml, line 1: the file is not UTF-8"):
        load(WorkTree(tmp_path), "x.yml")
