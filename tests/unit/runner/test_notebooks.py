import json
from pathlib import Path
from types import NoneType
from typing import Any

import nbformat
import pytest

from tests.support.models import refusal
from tests.support.notebook_files import write_notebook
from workshop.core.errors import UsageError
from workshop.runner import notebooks
from workshop.runner.notebooks import IN_ORDER, Notebook, check_parameters, select


def test_a_delivery_run_has_three_notebooks_in_order_and_scoring_on_request() -> None:
    assert [notebook.name for notebook in select()] == list(IN_ORDER)
    assert [notebook.name for notebook in select(scoring=True)] == [*IN_ORDER, "part_1_4_scoring"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1_1", "part_1_1_data_prep"),
        ("part_1_2_training", "part_1_2_training"),
        ("1_3_evaluating.ipynb", "part_1_3_evaluating"),
        ("0", "part_0_create_datasets"),
        ("4", "part_4_new_training_code"),
    ],
)
def test_a_notebook_is_found_by_what_a_person_calls_it(name: str, found: str) -> None:
    assert [notebook.name for notebook in select([name])] == [found]


@pytest.mark.parametrize("name", ["9_9", "1", "../part_1_1_data_prep", ""])
def test_an_unknown_notebook_is_refused_with_the_names_that_there_are(name: str) -> None:
    with pytest.raises(UsageError, match="there are part_0_create_datasets, part_1_0_one_long_notebook, part_1_1"):
        select([name])


def test_declared_types_come_from_annotations_and_otherwise_from_defaults(tmp_path: Path) -> None:
    declaration = 'a: int = 1  # one\nb: str = ""\nc = 2.5\nd = True\ne = 7\nf = "x"\ng = 1e-3\n'
    notebook = write_notebook(tmp_path / "n.ipynb", "print(a)", parameters=declaration)
    assert notebook.declared() == {"a": int, "b": str, "c": float, "d": bool, "e": int, "f": str, "g": float}


def test_each_notebook_gets_the_given_parameters_that_it_declares_with_their_types() -> None:
    checked = check_parameters(select(), {"seed": "7", "confidence": "0.9", "model_name": "other"})
    assert checked["part_1_1_data_prep"] == {}
    assert checked["part_1_2_training"] == {"seed": 7, "model_name": "other"}
    assert checked["part_1_3_evaluating"] == {"confidence": 0.9, "model_name": "other"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"confidance": "0.9"}, "did you mean confidence?"),
        (
            {"bogus": "1"},
            "they have compare_only, confidence, correct_for_looks, detectable_improvement,",
        ),
        ({"confidence": "abc"}, "confidence cannot be 'abc'"),
        ({"confidence": "1.5"}, "less than 1"),
        ({"min_improvement": "-1"}, "min_improvement cannot be '-1'"),
        ({"seed": "1.5"}, "seed cannot be '1.5'"),
        ({"model_name": "a/b"}, "letters, digits"),
        ({"devops_action": "Deploy"}, "one of Integration, Deployment, unknown"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_parameters(select(), given)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["password", "db_passwd", "client_secret", "API_KEY", "token", "pat", "my_pat"])
def test_a_parameter_that_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="looks like a secret"):
        check_parameters(select(), {name: "hunter2"})


def test_a_notebook_that_declares_a_secret_is_refused_even_if_none_is_given(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(token)", parameters='token = ""')
    with pytest.raises(UsageError, match="looks like a secret"):
        check_parameters([notebook], {})


def test_ordinary_names_do_not_look_like_secrets(tmp_path: Path) -> None:
    declaration = "path = ''\npatience = 1\nkeys = 2\nmonkey = 3\n"
    notebook = write_notebook(tmp_path / "n.ipynb", "print(path)", parameters=declaration)
    assert check_parameters([notebook], {"patience": "3"}) == {"n": {"patience": 3}}


# Files as tools leave them


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which notebooks are found."""
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    return tmp_path


def test_a_copy_never_runs_instead_of_the_notebook_that_was_named(folder: Path) -> None:
    stems = ["part_1_1_data_prep", "part_1_1_data_prep-Copy1", "part_1_1_data_prep (2)", ".part_1_1_data_prep"]
    (folder / ".ipynb_checkpoints").mkdir()
    for stem in [*stems, ".ipynb_checkpoints/part_1_1_data_prep-checkpoint"]:
        write_notebook(folder / f"{stem}.ipynb")
    for name in ("1_1", "1_1_data_prep", "part_1_1_data_prep", "part_1_1_data_prep.ipynb"):
        assert select([name])[0].path == folder / "part_1_1_data_prep.ipynb"
    assert select([stems[1]])[0].name == stems[1]
    (folder / "part_1_1_data_prep.ipynb").unlink()
    with pytest.raises(UsageError, match="There is no notebook '1_1'"):
        select(["1_1"])


def test_two_notebooks_that_match_equally_are_called_ambiguous(folder: Path) -> None:
    for stem in ("part_1_1_data_prep", "part_1_1_old", "1_1_other"):
        write_notebook(folder / f"{stem}.ipynb")
    with pytest.raises(UsageError, match="ambiguous: name one of 1_1_other, part_1_1_data_prep, part_1_1_old in"):
        select(["1_1"])
    assert [select([name])[0].name for name in ("1_1_other", "1_1_old")] == ["1_1_other", "part_1_1_old"]


def notebook_json(**changed: object) -> str:
    """A notebook of one cell with a parameter, as JSON."""
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "seed = 42"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell], **changed}, indent=1)


CELL: dict[str, object] = {"cell_type": "code", "id": "x", "metadata": {}, "source": ["a = 1\n", "a"]}
REFUSED: list[tuple[str, bytes, str]] = [
    ("a conflict", notebook_json().replace(' "cells"', '<<<<<<< HEAD\n "cells"').encode(), "merge conflict left in it"),
    ("a conflict that a tool has indented", b"{\n  <<<<<<< HEAD\n", "merge conflict left in it, at line 2"),
    ("a conflict, as diff3 writes it", b"||||||| base\n{}", "merge conflict left in it, at line 1"),
    ("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "`git lfs pull`"),
    ("cut off", notebook_json().encode()[:-20], "is not JSON"),
    ("empty", b"", "is empty"),
    ("white space", b" \n", "is empty"),
    ("nested too deeply", b"[" * 100_000, "is not JSON"),
    ("Latin-1", notebook_json().replace("seed", "g\u00fcte").encode("latin-1"), "is not UTF-8"),
    ("UTF-16", notebook_json().encode("utf-16"), "is not UTF-8"),
    ("a list", b"[]", "is not a notebook"),
    ("an empty object", b"{}", "its format or its cells are missing"),
    ("a format to come", notebook_json(nbformat=99).encode(), "Unsupported nbformat version 99"),
    ("a format in words", notebook_json(nbformat="4").encode(), "its format or its cells are missing"),
    ("no cells", notebook_json(cells=None).encode(), "its format or its cells are missing"),
    ("a cell that is text", notebook_json(cells=["x"]).encode(), "is not a notebook"),
    ("a cell without source", notebook_json(cells=[{"cell_type": "code"}]).encode(), "is not a notebook"),
    ("format 3 without its cells", b'{"nbformat": 3, "worksheets": [{}]}', "is not a notebook"),
]


@pytest.mark.parametrize(("content", "sentence"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_a_file_that_is_not_a_notebook_is_one_sentence_with_its_name(
    content: bytes, sentence: str, folder: Path
) -> None:
    (folder / "part_9_odd.ipynb").write_bytes(content)
    with refusal("part_9_odd", sentence):
        select(["9_odd"])[0].declared()


def test_a_path_that_can_not_be_read_is_one_sentence_with_its_name(folder: Path) -> None:
    (folder / "part_9_a.ipynb").mkdir()
    (folder / "part_9_b.ipynb").symlink_to(folder / "gone")
    for name, reason in (("9_a", "Is a directory"), ("9_b", "No such file")):
        with refusal(f"part_{name}.ipynb can't be read ({reason}"):
            select([name])[0].declared()


ACCEPTED: list[tuple[str, bytes]] = [
    ("no kernelspec", notebook_json().encode()),
    ("no metadata", notebook_json(metadata=None).encode()),
    ("a byte order mark", notebook_json().encode("utf-8-sig")),
    ("another kernel", notebook_json(metadata={"kernelspec": {"name": "ir", "language": "R"}}).encode()),
    ("repeated ids", notebook_json(cells=[{**CELL, "metadata": {"tags": ["parameters"]}}, CELL]).encode()),
    ("a minor format to come", notebook_json(nbformat_minor=99).encode()),
    ("a minor format in words", notebook_json(nbformat_minor="5").encode()),
    ("no minor format", notebook_json(nbformat_minor=None).encode()),
]  # fmt: skip


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in ACCEPTED])
@pytest.mark.filterwarnings("error")
def test_what_a_run_does_not_need_may_be_missing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(content)
    notebook = Notebook(path)
    assert len(notebook.declared()) == 1
    assert notebook.read().metadata.kernelspec.name == "python3"
    assert notebook.code_cells() >= 1


def test_a_notebook_of_format_3_is_read(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "language": "python", "input": "1", "outputs": [], "metadata": {}}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]}
    (tmp_path / "n.ipynb").write_text(json.dumps(old), encoding="utf-8")
    assert Notebook(tmp_path / "n.ipynb").read().cells[0].source == "1"


# The parameters cell


@pytest.mark.parametrize(
    ("source", "types"),
    [
        ('where = "alcohol==12"\nseed = 42', {"where": str, "seed": int}),
        ('a = 1; b = "#not a comment"', {"a": int, "b": str}),
        ('a: float = (\n    1\n)\nb = """x = 1\ny = 2"""', {"a": float, "b": str}),
        ("a, (b, c) = 1, (True, 2.5)\nd = e = -3", {"a": int, "b": bool, "c": float, "d": int, "e": int}),
        ("a: 'int' = 1\nb: bool\nc = None\nd: list[int] = [1]", {"a": int, "b": bool, "c": NoneType, "d": list}),
        ("a: int | None = None\nb: Optional[str] = 'x'\nc = {}", {"a": int | None, "b": str | None, "c": dict}),
        ("import os\na = os.environ.get('x', '=')\nif a:\n    b = 1\nx[0] = 1", {"a": str}),
        ("%matplotlib inline\na = 1\n!ls", {"a": int}),
        ("", {}),
    ],
)
def test_the_parameters_cell_is_read_as_python(
    source: str, types: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert write_notebook(tmp_path / "n.ipynb", parameters=source).declared() == types
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("[1]", "[2, 3]", [2, 3]),
        ("['a']", '["b", null]', ["b", None]),
        ("{}", "{'b': True}", {"b": True}),
        ("(1,)", "(2, 3)", (2, 3)),
        ("None", "None", None),
        ("None", "5", 5),
        ("None", "b'5'", "b'5'"),
        ("None", "main", "main"),
        ("None", "", ""),
    ],
)
def test_a_list_a_dictionary_or_none_is_no_text(default: str, text: str, value: Any, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", parameters=f"a = {default}")
    assert check_parameters([notebook], {"a": text}) == {"n": {"a": value}}


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("None", None)])
def test_a_parameter_that_may_be_none_takes_its_other_type_as_well(text: str, value: Any, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", parameters="a: int | None = None")
    assert check_parameters([notebook], {"a": text}) == {"n": {"a": value}}


@pytest.mark.parametrize(("default", "text"), [("[1]", "2"), ("{}", "[1]"), ("[1]", "a,b"), ("[1]", "{1}")])
def test_text_that_is_no_list_is_refused_for_one(default: str, text: str, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", parameters=f"a = {default}")
    with refusal("The parameter a cannot be"):
        check_parameters([notebook], {"a": text})


@pytest.mark.parametrize("source", ["a = ", "a = 1\x00", "  a = 1\n b = 2"])
def test_a_parameters_cell_that_is_not_python_is_one_sentence(source: str, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", parameters=source)
    with refusal("The parameters cell of the notebook n is not Python"):
        notebook.declared()


def test_two_tagged_cells_are_refused(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "a", parameters="a = 1")
    content = nbformat.read(notebook.path, as_version=4)
    content.cells.append(nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]}))
    nbformat.write(content, notebook.path)
    with refusal("The notebook n has 2 cells tagged `parameters`", "remove the tag") as caught:
        check_parameters([notebook], {})
    assert isinstance(caught.value, UsageError)


def test_a_notebook_without_parameters_is_refused_a_parameter_in_a_whole_sentence(tmp_path: Path) -> None:
    with refusal("No notebook of this run has a parameter 'seed': they declare no parameters."):
        check_parameters([write_notebook(tmp_path / "n.ipynb", "1")], {"seed": "1"})
