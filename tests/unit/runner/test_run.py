import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import create_autospec

import nbformat
import pytest

from workshop.core.data import tables
from workshop.core.errors import UsageError, WorkshopError
from workshop.core.notebook_result import MIME_TYPE
from workshop.core.parameters import DevopsAction
from workshop.core.settings import current_settings
from workshop.runner import kernels, notebooks
from workshop.runner.local import LocalTarget, returned_by, unfinished
from workshop.runner.notebooks import select
from workshop.runner.run import _make_folder, _parameters, run
from workshop.runner.target import Progress, Request, Target

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_each_run_has_a_folder_of_its_own_even_within_a_second(home: Path) -> None:
    names = [_make_folder(current_settings(), NOON, "dev-ana").name for _ in range(3)]
    assert names == ["20261124T120000Z-dev-ana", "20261124T120000Z-dev-ana-2", "20261124T120000Z-dev-ana-3"]


def test_a_file_where_the_runs_go_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "runs").touch()
    with pytest.raises(WorkshopError, match="a file is where a folder is needed"):
        _make_folder(current_settings(), NOON, "dev-ana")


def test_each_notebook_gets_what_the_run_is_for_if_it_declares_it() -> None:
    request = Request(DevopsAction.DEPLOYMENT, "dev-ana", {"seed": "7"}, scoring=True)
    assert _parameters(request, select(scoring=True)) == {
        "part_1_1_data_prep": {"run_name": "dev-ana"},
        "part_1_2_training": {"run_name": "dev-ana", "seed": 7},
        "part_1_3_evaluating": {"run_name": "dev-ana", "devops_action": "Deployment", "compare_only": False},
        "part_1_4_scoring": {"run_name": "dev-ana", "slot": "production"},
    }


def test_a_notebook_that_has_lost_its_parameters_cell_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(notebooks.FOLDER, tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    path = tmp_path / "notebooks" / "part_1_3_evaluating.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace('"parameters"', '"parameter"'), encoding="utf-8")
    with pytest.raises(UsageError, match="part_1_3_evaluating declares no parameter compare_only"):
        _parameters(Request(DevopsAction.DEPLOYMENT, compare_only=True), select())


def test_the_tables_are_created_on_first_use_unless_the_run_has_their_notebook(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "begin_warming", lambda: None)
    LocalTarget().get_ready(select(["0", "1_1"]))
    assert not tables.development_table().exists()
    LocalTarget().get_ready(select(["1_1"]))
    assert tables.development_table().exists() and tables.production_table().exists()


def test_a_relative_folder_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request(parameters={"source_folder": "wines"}, notebooks=("0",))
    assert _parameters(request, select(["0"]))["part_0_create_datasets"]["source_folder"] == str(tmp_path / "wines")


@pytest.mark.parametrize(("name", "option"), [("run_name", "--run-name"), ("devops_action", "--action")])
def test_what_has_an_option_of_its_own_is_no_parameter(name: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"use {option} instead of -p"):
        _parameters(Request(parameters={name: "x"}), select())


@pytest.mark.parametrize("request_", [Request(), Request(compare_only=True), Request(DevopsAction.DEPLOYMENT)])
def test_a_registry_without_a_shared_history_is_refused_before_the_first_notebook(
    request_: Request, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://registry.example")
    target = create_autospec(Target, instance=True)
    with pytest.raises(WorkshopError, match="MLFLOW_REGISTRY_URI names a registry that other machines may share"):
        run(target, request_, create_autospec(Progress, instance=True))
    target.executed.assert_not_called()
    assert not home.exists()


def executed(*outputs: Mapping[str, object]) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell("cell", outputs=[nbformat.from_dict(output)]) for output in outputs]
    notebook: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=cells)
    return notebook


def shown(**data: str) -> dict[str, object]:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def test_what_a_notebook_hands_over_is_read_from_its_last_output_of_that_kind() -> None:
    first, last = (json.dumps({"outcome": None, "said": {"candidate": each}, "data_version": {}}) for each in "12")
    notebook = executed(shown(**{MIME_TYPE: first}), shown(**{MIME_TYPE: last}), shown(**{"text/plain": "3"}))
    returned = returned_by(notebook)
    assert returned is not None and returned.said == {"candidate": "2"}
    assert returned_by(executed(shown(**{"text/plain": "3"}))) is None


def test_a_notebook_that_exits_is_unfinished_at_that_cell() -> None:
    ended = {"output_type": "error", "ename": "SystemExit", "evalue": "0", "traceback": []}
    assert unfinished(executed(shown(**{"text/plain": "3"}), ended)) == (2, "cell")
    assert unfinished(executed(shown(**{"text/plain": "3"}))) is None
