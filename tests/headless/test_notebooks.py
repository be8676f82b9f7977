from pathlib import Path

import pytest

from tests.headless.notebook_files import write_notebook
from workshop.headless import notebooks
from workshop.headless.notebooks import IN_ORDER, RequestError, check_parameters, select


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
    with pytest.raises(RequestError, match="there are part_0_create_datasets, part_1_1_data_prep"):
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
    with pytest.raises(RequestError) as caught:
        check_parameters(select(), given)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["password", "db_passwd", "client_secret", "API_KEY", "token", "pat", "my_pat"])
def test_a_parameter_that_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="looks like a secret"):
        check_parameters(select(), {name: "hunter2"})


def test_a_notebook_that_declares_a_secret_is_refused_even_if_none_is_given(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(token)", parameters='token = ""')
    with pytest.raises(RequestError, match="looks like a secret"):
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
    with pytest.raises(RequestError, match="There is no notebook '1_1'"):
        select(["1_1"])


def test_two_notebooks_that_match_equally_are_called_ambiguous(folder: Path) -> None:
    for stem in ("part_1_1_data_prep", "part_1_1_old", "1_1_other"):
        write_notebook(folder / f"{stem}.ipynb")
    with pytest.raises(RequestError, match="ambiguous: name one of 1_1_other, part_1_1_data_prep, part_1_1_old in"):
        select(["1_1"])
    assert [select([name])[0].name for name in ("1_1_other", "1_1_old")] == ["1_1_other", "part_1_1_old"]
