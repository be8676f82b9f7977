import ast
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import pytest

from kit_common import git
from workshop.core.parameters import Parameters, Terms
from workshop.core.promotion.evaluate import open_contest
from workshop.core.registry.model import log_candidate
from workshop.core.settings import PACKAGE
from workshop.runner import kernels
from workshop.runner.notebooks import FOLDER, Notebook, select

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXPECTED = [
    "part_0_create_datasets",
    "part_1_0_one_long_notebook",
    "part_1_1_data_prep",
    "part_1_2_training",
    "part_1_3_evaluating",
    "part_1_4_scoring",
    "part_4_new_training_code",
]

MONOLITH = FOLDER / "part_1_0_one_long_notebook.ipynb"
"""An example of how not to do it: no parameters, one flat piece of code, no explanations."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

each_modular_notebook = pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path != MONOLITH], ids=lambda path: path.stem
)


def cells(path: Path, kind: str = "code", tag: str | None = None) -> list[Any]:
    """Return the cells of a kind, with that tag if one is named."""
    every = nbformat.read(path, as_version=4).cells
    return [cell for cell in every if cell.cell_type == kind and (tag is None or tag in cell.metadata.get("tags", []))]


def read_by(function: Callable[..., Any]) -> set[str]:
    """Return the parameters that a function reads from its argument `parameters`."""
    body = ast.walk(ast.parse(inspect.getsource(function)))
    return {
        node.attr
        for node in body
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "parameters"
    }


READ_BY = {function.__name__: read_by(function) for function in (open_contest, log_candidate)}
READ_BY["open_contest"] = READ_BY["open_contest"] - {"terms"} | set(Terms.model_fields)


def test_the_notebooks_are_complete() -> None:
    assert [path.stem for path in NOTEBOOKS] == EXPECTED


@each_notebook
def test_a_notebook_is_valid(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def advice_on_outputs(path: Path, content: bytes) -> str:
    """Return what to do about a notebook with outputs that is committed or staged; empty for one without."""
    saved = nbformat.reads(content.decode(), as_version=4)
    if not any(cell.get("outputs") or cell.get("execution_count") for cell in saved.cells):
        return ""
    return (
        f"{path.name} is committed with outputs: run `make setup` (or `workshop lab`), which makes Git leave them out "
        "of commits, then `git add --renormalize src/workshop/notebooks`, commit, and push again."
    )


@each_notebook
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    """In the working folder it may have some: the Git filter removes them from what is staged."""
    staged = git.run(path.parent, "show", f":./{path.name}")
    content = path.read_bytes() if staged.returncode else staged.stdout  # not in a repository, or not added yet
    if advice := advice_on_outputs(path, content):
        pytest.fail(advice, pytrace=False)


def test_the_advice_on_outputs_names_the_notebook_and_the_commands() -> None:
    path = FOLDER / "part_1_1_data_prep.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].execution_count = 1
    advice = advice_on_outputs(path, nbformat.writes(notebook).encode())
    assert advice.startswith("part_1_1_data_prep.ipynb is committed with outputs: run `make setup`")
    assert "git add --renormalize src/workshop/notebooks" in advice


@each_notebook
def test_a_notebook_begins_with_a_title_and_explains_itself(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].source.startswith("# Part ")
    assert len(cells(path, "markdown")) >= len(cells(path)) // 2 or path == MONOLITH


@each_modular_notebook
def test_a_notebook_has_one_parameters_cell_with_a_comment_and_a_type_for_each(path: Path) -> None:
    (tagged,) = cells(path, tag="parameters")
    for line in tagged.source.splitlines():
        assert ": " in line.split("=")[0] and "  # " in line, line


@each_modular_notebook
def test_exactly_the_declared_parameters_are_read(path: Path) -> None:
    """A run that ignores one of its parameters is green and wrong."""
    declared = set(Notebook(path).declared())
    (tagged,) = cells(path, tag="parameters")
    later = "\n".join(cell.source for cell in cells(path) if cell.source != tagged.source)
    passed: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(ast.parse(later)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read_parameters":
            for keyword in node.keywords:
                assert isinstance(keyword.value, ast.Name) and keyword.value.id == keyword.arg
                passed.add(str(keyword.arg))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params":
            used.add(node.attr)
        if isinstance(node, ast.Call) and "params" in {a.id for a in node.args if isinstance(a, ast.Name)}:
            used |= READ_BY[ast.unparse(node.func).split(".")[-1]]
    assert passed == declared
    assert used == declared
    assert declared <= set(Parameters.model_fields)


@each_modular_notebook
def test_the_defaults_are_those_of_the_parameters_class(path: Path) -> None:
    (tagged,) = cells(path, tag="parameters")
    namespace: dict[str, Any] = {}
    exec(tagged.source, namespace)
    fields = Parameters.model_fields
    for name in Notebook(path).declared():
        expected = "" if name == "run_name" else fields[name].default
        assert namespace[name] == expected


def test_the_training_cells_of_1_2_and_part_4_are_interchangeable() -> None:
    (baseline,) = cells(FOLDER / "part_1_2_training.ipynb", tag="training")
    (searched,) = cells(FOLDER / "part_4_new_training_code.ipynb", tag="training")
    for cell in (baseline, searched):
        bound = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)
                 and isinstance(node.ctx, ast.Store)}  # fmt: skip
        assert {"model", "training_run"} <= bound


def test_training_never_reads_the_wines_that_decide() -> None:
    for name in ("part_1_2_training", "part_4_new_training_code"):
        (training,) = cells(FOLDER / f"{name}.ipynb", tag="training")
        assert "split.validation" in training.source
        assert "test" not in training.source and "production" not in training.source


@each_notebook
def test_no_notebook_sleeps(path: Path) -> None:
    assert [cell.id for cell in cells(path) if "sleep" in cell.source] == []


@each_notebook
def test_cells_are_short(path: Path) -> None:
    long = [cell.id for cell in cells(path) if len(cell.source.splitlines()) > 20]
    assert long == [cell.id for cell in cells(path, tag="training") if len(cell.source.splitlines()) > 20]


def run_monolith(capsys: pytest.CaptureFixture[str], change: Callable[[str], str] = str) -> dict[str, float]:
    """Run the code of the monolith, changed, and return the numbers that it prints, by their names."""
    matplotlib.use("agg")
    exec(compile(change("\n".join(cell.source for cell in cells(MONOLITH))), MONOLITH.name, "exec"), {})
    lines = [line.rpartition(" ") for line in capsys.readouterr().out.splitlines() if line[-1].isdigit()]
    return {name: float(value) for name, _, value in lines}


def test_the_monolith_has_a_high_auc_because_of_the_duplicates(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """It needs only the originals, and leaves nothing behind."""
    as_shipped = run_monolith(capsys)
    assert as_shipped == {"AUC": 0.903, "best": 0.903, "AUC on production": 0.99}
    mended = run_monolith(capsys, lambda code: code.replace("df.head()", "df = df.drop_duplicates(ignore_index=True)"))
    assert mended["best"] < 0.86
    assert not home.exists()


def test_the_monolith_is_short_and_ends_with_five_questions() -> None:
    questions = cells(MONOLITH, "markdown")[-1].source
    assert [line[:3] for line in questions.splitlines() if line[:1].isdigit()] == ["1. ", "2. ", "3. ", "4. ", "5. "]
    assert sum(len(cell.source.split()) for cell in nbformat.read(MONOLITH, as_version=4).cells) < 700


def test_no_run_includes_the_monolith_unless_it_is_named() -> None:
    assert MONOLITH not in {notebook.path for notebook in select(scoring=True)}
    assert [notebook.path for notebook in select(["1_0"])] == [MONOLITH]
    named = (PACKAGE.parents[1] / ".azure_pipelines" / "templates" / "test.yml").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"for notebook in src/workshop/notebooks/(\S+); do", named)
    assert [path.stem for path in sorted(FOLDER.glob(pattern))] == EXPECTED[2:6]


@pytest.mark.integration
def test_nbmake_runs_all_notebooks_in_order_in_a_new_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernels are forked from one process that has imported MLflow; test_local compares them with fresh kernels.
    forked = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "forked",
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": kernels.WARM_PROVISIONER}},
    }
    spec = tmp_path / "jupyter" / "kernels" / "forked" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(forked), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    nbmake = ["--nbmake", "--nbmake-kernel=forked", str(FOLDER), "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *nbmake, "-p", "tests.notebooks.warming", "-p", "no:cacheprovider"],
        cwd=PACKAGE.parents[1], capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout
    assert (home / "data" / "predictions" / "no_name").is_dir()
