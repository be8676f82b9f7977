"""Runs of edited notebooks: a slot moves only as the options allow, and a green run has done all of its work."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.commands import latest_summary, workshop_here
from tests.support.models import refusal
from workshop.core.data import datasets
from workshop.core.parameters import last_read, read_parameters
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import find_candidate
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
"""Cells for any notebook, anywhere after its imports."""
OF_1_2 = [
    Edit("log_candidate = lambda *_: '1'"),
    Edit("hand_over(candidate='1')\nhand_over = lambda *_, **__: None"),
]
OF_1_3 = [
    Edit("params = params.model_copy(update={'compare_only': not params.compare_only})"),
    Edit("from workshop.core.parameters import Parameters\nparams = Parameters(devops_action='unknown')"),
    Edit("promotion.act = lambda *_: None"),
]
BEFORE_THE_READING = [
    Edit("compare_only = not compare_only"),
    Edit("run_name = 'dev-bob'"),
    Edit("devops_action = 'unknown'"),
]
"""Cells for 1_3, between the parameters cell and the cell that reads it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the notebooks, which runs use instead of the kit's."""
    copied = tmp_path / "notebooks"
    shutil.copytree(notebooks.FOLDER, copied)
    monkeypatch.setattr(notebooks, "FOLDER", copied)
    return copied


def edit(folder: Path, name: str, place: int, source: str) -> None:
    """Insert a cell into a notebook: place 0 is right after the parameters cell, 1 after the imports, and so on."""
    path = folder / f"{name}.ipynb"
    shutil.copy(PACKAGE / "notebooks" / path.name, path)
    notebook = nbformat.read(path, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    at = code[0] + 1 if place == 0 else code[min(place + 2, len(code) - 1)]
    notebook.cells.insert(at, nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, path)


def holders() -> dict[str, str | None]:
    return open_slots(mlflow_store.connect(), MODEL).holders()


def check(home: Path, folder: Path, name: str, place: int, edited: Edit, action: str, compare_only: bool) -> None:
    """Run 1_1 to 1_3 with an edit, and compare slots, summary and exit code with the options."""
    for each in folder.glob("*.ipynb"):
        shutil.copy(PACKAGE / "notebooks" / each.name, each)
    edit(folder, name, place, edited.source)
    before = holders()
    done = workshop_here("run", "--action", action, *(["--compare-only"] if compare_only else []))
    after = holders()
    if done.code == 2:  # refused before the start, so there is no summary
        assert not edited.harmless
        assert name in done.err
        assert before == after
        return
    summary = latest_summary(home)
    assert done.code == summary["exit_code"]
    assert (summary["slots_before"], summary["slots_after"]) == (before, after), summary["sentence"]
    assert (before != after) == (summary["status"] in {"promoted", "staged"}), summary["sentence"]
    if before != after:
        assert not compare_only
        assert summary["status"] == ("promoted" if action == "deployment" else "staged")
    if not edited.harmless:
        assert done.code == 1, done.out
        assert name in summary["sentence"]
        after_it = [each["status"] for each in summary["notebooks"] if each["name"] > name]
        assert set(after_it) <= {"not run"}
    else:
        assert done.code in {0, 3}, done.out
        assert summary["outcome"] is not None
        candidate = mlflow_store.connect().get_model_version(MODEL, summary["outcome"]["candidate_version"])
        assert candidate.tags["workshop.run_id"] == summary["run_id"]


@pytest.mark.parametrize(
    ("name", "place", "edited", "action", "compare_only"),
    [
        (EVALUATION, 0, BEFORE_THE_READING[0], "deployment", True),
        pytest.param(EVALUATION, 0, BEFORE_THE_READING[0], "integration", False, marks=pytest.mark.thorough),
        (EVALUATION, 0, BEFORE_THE_READING[1], "integration", False),
        (EVALUATION, 5, EDITS[1], "deployment", False),
        # test_run and test_obligations find both without a kernel.
        pytest.param(TRAINING, 3, EDITS[2], "deployment", False, marks=pytest.mark.thorough),
        pytest.param(TRAINING, 9, OF_1_2[0], "integration", False, marks=pytest.mark.thorough),
    ],
)
def test_an_edit_that_breaks_a_run_is_red_and_moves_no_slot(
    name: str, place: int, edited: Edit, action: str, compare_only: bool, home: Path, folder: Path, delivered: Path
) -> None:
    shutil.copytree(delivered, home)
    check(home, folder, name, place, edited, action, compare_only)


def _cases() -> st.SearchStrategy[tuple[str, int, Edit, str, bool]]:
    where = st.one_of(
        st.tuples(st.just(TRAINING), st.integers(1, 6), st.sampled_from(EDITS[:6] + OF_1_2)),
        st.tuples(st.just(EVALUATION), st.integers(1, 1), st.sampled_from(EDITS + OF_1_3)),
        st.tuples(st.just(EVALUATION), st.integers(2, 8), st.sampled_from(EDITS[:6])),
        st.tuples(st.just(EVALUATION), st.just(0), st.sampled_from(BEFORE_THE_READING)),
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
def test_any_edit_moves_only_the_slot_of_the_options(
    case: tuple[str, int, Edit, str, bool], home: Path, folder: Path, delivered: Path
) -> None:
    if not home.exists():
        shutil.copytree(delivered, home)
    check(home, folder, *case)


@pytest.mark.parametrize("notebook", ["1_1", "1_2"])
def test_a_result_of_an_earlier_run_is_not_used(
    notebook: str, home: Path, delivered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(delivered, home)
    monkeypatch.setenv("WORKSHOP_RUN_ID", "this")
    find_candidate(mlflow_store.connect(), MODEL, "no_name")  # a run without 1_1 and 1_2 uses the newest
    datasets.load_prepared("no_name")
    monkeypatch.setenv("WORKSHOP_RUN_NOTEBOOKS", ",".join(each.name for each in notebooks.select([notebook])))
    if notebook == "1_1":
        with refusal("part_1_1_data_prep has not written a table in this run"):
            datasets.load_prepared("no_name")
    else:
        with refusal("part_1_2_training has not registered a candidate"):
            find_candidate(mlflow_store.connect(), MODEL, "no_name")


def test_a_notebook_that_overrides_a_parameter_of_the_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_PARAMETERS", json.dumps({"compare_only": True, "run_name": "Dev/Ana"}))
    assert read_parameters(compare_only=True, run_name="Dev/Ana", seed=7).compare_only
    assert last_read()["seed"] == 7
    with refusal("compare_only", "True", "False", "remove that cell"):
        read_parameters(compare_only=False, run_name="Dev/Ana")
