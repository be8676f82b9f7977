"""Cells behind the parameters cell that undo what a run gives; test_notebooks has the parameters cell itself."""

import nbformat
import pytest

from workshop.runner import parameters_cell


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("seed = 42", (2, "seed")),
        ("print(1)\nseed: int = 42", (2, "seed")),
        ("name, seed = 'x', 42", (2, "seed")),
        ("%matplotlib inline\nseed = 42", (2, "seed")),
        ("seed = int(seed)", None),
        ("other = 42", None),
        ("if False:\n    seed = 42", None),
        ("def f():\n    seed = 42", None),
        ("f(seed=42)", None),
        ("seed = = 42", None),
    ],
)
def test_a_cell_that_sets_a_parameter_back_is_found(source: str, found: tuple[int, str] | None) -> None:
    cells = [
        nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_markdown_cell("seed = 2"),
        nbformat.v4.new_code_cell(source),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert parameters_cell.set_back(notebook, {"seed"}) == found
    assert parameters_cell.set_back(notebook, {"elsewhere"}) is None


def test_a_tag_is_one_of_a_list_and_no_part_of_a_text() -> None:
    cell = {"cell_type": "code", "source": "a = 1", "metadata": {"tags": "no_parameters"}}
    assert parameters_cell.tagged(nbformat.from_dict({"cells": [cell]})) == []


def test_cells_have_the_numbers_of_jupyterlab_in_an_executed_notebook() -> None:
    result = nbformat.v4.new_output("execute_result", execution_count=3)
    tags: tuple[list[str], ...] = (["parameters"], ["injected-parameters"], [])
    cells = [
        nbformat.v4.new_code_cell("seed", execution_count=number, metadata={"tags": tag})
        for number, tag in enumerate(tags, start=1)
    ]
    cells[2].outputs = [result]
    notebook = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("not run")])
    assert parameters_cell.code_cells(notebook) == [notebook.cells[at] for at in (0, 2, 3)]
    parameters_cell.renumber(notebook)
    assert [cell.execution_count for cell in notebook.cells] == [1, None, 2, None]
    assert result.execution_count == 2
