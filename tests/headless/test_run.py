from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from workshop.core.errors import WorkshopError
from workshop.core.outcome import MIME_TYPE
from workshop.core.parameters import DevopsAction
from workshop.core.settings import current_settings
from workshop.headless.local_target import outcome_of
from workshop.headless.notebooks import RequestError, select
from workshop.headless.plan import Request
from workshop.headless.run import _make_folder, _parameters
from workshop.headless.summary import NotebookResult

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_each_run_has_a_folder_of_its_own_even_within_a_second(home: Path) -> None:
    names = [_make_folder(current_settings(), NOON, "dev-ana").name for _ in range(3)]
    assert names == ["20261124T120000Z-dev-ana", "20261124T120000Z-dev-ana-2", "20261124T120000Z-dev-ana-3"]


def test_a_file_where_the_runs_go_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "runs").touch()
    with pytest.raises(WorkshopError, match="a file stands where a folder is needed"):
        _make_folder(current_settings(), NOON, "dev-ana")


def test_each_notebook_gets_what_the_run_is_for_if_it_declares_it() -> None:
    request = Request(DevopsAction.DEPLOYMENT, "dev-ana", {"seed": "7"}, scoring=True)
    assert _parameters(request, select(scoring=True)) == {
        "part_1_1_data_prep": {"run_name": "dev-ana"},
        "part_1_2_training": {"run_name": "dev-ana", "seed": 7},
        "part_1_3_evaluating": {"run_name": "dev-ana", "devops_action": "Deployment"},
        "part_1_4_scoring": {"run_name": "dev-ana", "slot": "production"},
    }


@pytest.mark.parametrize(("name", "option"), [("run_name", "--run-name"), ("devops_action", "--action")])
def test_what_has_an_option_of_its_own_is_no_parameter(name: str, option: str) -> None:
    with pytest.raises(RequestError, match=f"use {option} instead of -p"):
        _parameters(Request(parameters={name: "x"}), select())


def test_the_outcome_is_read_from_the_notebook_that_shows_it(tmp_path: Path) -> None:
    shown = nbformat.v4.new_output("execute_result", {MIME_TYPE: {"status": "promoted"}, "text/plain": "promoted"})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("act()", outputs=[shown])])
    nbformat.write(notebook, tmp_path / "1_3.ipynb")
    decided = NotebookResult(name="1_3", status="succeeded", output=str(tmp_path / "1_3.ipynb"))
    assert outcome_of([NotebookResult(name="1_4", status="not run"), decided]) == {"status": "promoted"}
    assert outcome_of([NotebookResult(name="1_4", status="not run")]) is None
