"""A slot moves only as the run was asked, and a green run has done all of it, whatever stands in the notebooks."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.commands import latest_summary, workshop_here
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import open_slots
from workshop.core.settings import PACKAGE
from workshop.runner import notebooks

pytestmark = [pytest.mark.integration, pytest.mark.long]

MODEL = "wine_quality"
TRAINING, EVALUATION = "part_1_2_training", "part_1_3_evaluating"


@dataclass(frozen=True)
class Edit:
    """A cell that a participant has added to a notebook."""

    source: str
    harmless: bool = False


EDITS = [
    Edit("seen = len(globals())", harmless=True),
    Edit("import sys\nsys.exit()"),
    Edit("raise SystemExit(0)"),
    Edit("raise ValueError('no')"),
    Edit("import os\nos._exit(0)"),
    Edit("hand_over = lambda *_, **__: None"),
    Edit("from workshop.core.parameters import Parameters\nparams = Parameters(run_name='dev-bob')"),
    Edit("params = params.model_copy(update={'model_name': 'cheese_quality'})"),
]
"""Of any notebook, at any place behind its imports."""
OF_1_2 = [
    Edit("log_candidate = lambda *_: '1'"),
    Edit("hand_over(candidate='1')\nhand_over = lambda *_, **__: None"),
]
OF_1_3 = [
    Edit("params = params.model_copy(update={'compare_only': not params.compare_only})"),
    Edit("from workshop.core.parameters import Parameters\nparams = Parameters(devops_action='unknown')"),
    Edit("promotion.act = lambda *_: None"),
]
BEFORE_THEY_ARE_READ = [
    Edit("compare_only = not compare_only"),
    Edit("run_name = 'dev-bob'"),
    Edit("devops_action = 'unknown'"),
]
"""Of 1_3, between the parameters cell and the cell that reads it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the notebooks, which runs take instead of the kit's."""
    copied = tmp_path / "notebooks"
    shutil.copytree(notebooks.FOLDER, copied)
    monkeypatch.setattr(notebooks, "FOLDER", copied)
    return copied


def edit(folder: Path, name: str, place: int, source: str) -> None:
    """Put a cell into a notebook; 0 is right behind the parameters cell, 1 behind the imports, and so on."""
    path = folder / f"{name}.ipynb"
    shutil.copy(PACKAGE / "notebooks" / path.name, path)
    notebook = nbformat.read(path, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    at = code[0] + 1 if place == 0 else code[min(place + 2, len(code) - 1)]
    notebook.cells.insert(at, nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, path)


def holders() -> dict[str, str | None]:
    return open_slots(mlflow_store.connect(), MODEL).holders()


def check(home: Path, folder: Path, name: str, place: int, made: Edit, action: str, compare_only: bool) -> None:
    """Run 1_1 to 1_3 with an edit, and hold what became of it against what was asked for."""
    for each in folder.glob("*.ipynb"):
        shutil.copy(PACKAGE / "notebooks" / each.name, each)
    edit(folder, name, place, made.source)
    before = holders()
    ended = workshop_here("run", "--action", action, *(["--compare-only"] if compare_only else []))
    after = holders()
    if ended.code == 2:  # refused before it started, so there is no summary of it
        assert not made.harmless
        assert name in ended.err
        assert before == after
        return
    summary = latest_summary(home)
    assert ended.code == summary["exit_code"]
    assert (summary["slots_before"], summary["slots_after"]) == (before, after), summary["sentence"]
    assert (before != after) == (summary["status"] in {"promoted", "staged"}), summary["sentence"]
    if before != after:
        assert not compare_only
        assert summary["status"] == ("promoted" if action == "deployment" else "staged")
    if not made.harmless:
        assert ended.code == 1, ended.out
        assert name in summary["sentence"]
        after_it = [each["status"] for each in summary["notebooks"] if each["name"] > name]
        assert set(after_it) <= {"not run"}
    else:
        assert ended.code in {0, 3}, ended.out
        assert summary["outcome"] is not None
        candidate = mlflow_store.connect().get_model_version(MODEL, summary["outcome"]["candidate_version"])
        assert candidate.tags["workshop.run_id"] == summary["run_id"]


@pytest.mark.parametrize(
    ("name", "place", "made", "action", "compare_only"),
    [
        (EVALUATION, 0, BEFORE_THEY_ARE_READ[0], "deployment", True),
        (EVALUATION, 0, BEFORE_THEY_ARE_READ[0], "integration", False),
        (EVALUATION, 0, BEFORE_THEY_ARE_READ[1], "integration", False),
        (EVALUATION, 5, EDITS[1], "deployment", False),
        (TRAINING, 3, EDITS[2], "deployment", False),
        (TRAINING, 9, OF_1_2[0], "integration", False),
    ],
)
def test_what_a_run_was_not_asked_for_is_red_and_moves_no_slot(
    name: str, place: int, made: Edit, action: str, compare_only: bool, home: Path, folder: Path, delivered: Path
) -> None:
    shutil.copytree(delivered, home)
    check(home, folder, name, place, made, action, compare_only)


def _cases() -> st.SearchStrategy[tuple[str, int, Edit, str, bool]]:
    where = st.one_of(
        st.tuples(st.just(TRAINING), st.integers(1, 6), st.sampled_from(EDITS[:6] + OF_1_2)),
        st.tuples(st.just(EVALUATION), st.integers(1, 1), st.sampled_from(EDITS + OF_1_3)),
        st.tuples(st.just(EVALUATION), st.integers(2, 8), st.sampled_from(EDITS[:6])),
        st.tuples(st.just(EVALUATION), st.just(0), st.sampled_from(BEFORE_THEY_ARE_READ)),
    )
    return st.builds(
        lambda case, action, compare_only: (*case, action, compare_only),
        where,
        st.sampled_from(["integration", "deployment"]),
        st.booleans(),
    )


@pytest.mark.thorough
@given(case=_cases())
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_a_slot_moves_only_as_asked_and_green_means_done(
    case: tuple[str, int, Edit, str, bool], home: Path, folder: Path, delivered: Path
) -> None:
    if not home.exists():
        shutil.copytree(delivered, home)
    check(home, folder, *case)


@pytest.mark.parametrize("notebook", ["1_1", "1_2"])
def test_an_earlier_runs_result_does_not_stand_in_for_this_runs(
    notebook: str, home: Path, delivered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.models import refusal
    from workshop.core.data import datasets
    from workshop.core.registry.model import find_candidate

    shutil.copytree(delivered, home)
    monkeypatch.setenv("WORKSHOP_RUN_ID", "this")
    find_candidate(mlflow_store.connect(), MODEL, "no_name")  # a run that neither prepares nor trains takes the newest
    datasets.load_prepared("no_name")
    monkeypatch.setenv("WORKSHOP_RUN_NOTEBOOKS", ",".join(each.name for each in notebooks.select([notebook])))
    if notebook == "1_1":
        with refusal("part_1_1_data_prep has not written a table in this run"):
            datasets.load_prepared("no_name")
    else:
        with refusal("part_1_2_training has not registered a candidate"):
            find_candidate(mlflow_store.connect(), MODEL, "no_name")


def test_parameters_of_a_run_reach_the_notebook_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.models import refusal
    from workshop.core.parameters import last_read, read_parameters

    monkeypatch.setenv("WORKSHOP_PARAMETERS", json.dumps({"compare_only": True, "run_name": "Dev/Ana"}))
    assert read_parameters(compare_only=True, run_name="Dev/Ana", seed=7).compare_only
    assert last_read()["seed"] == 7
    with refusal("compare_only", "True", "False", "remove that cell"):
        read_parameters(compare_only=False, run_name="Dev/Ana")
