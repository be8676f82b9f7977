import json
from pathlib import Path

from workshop.core.promotion.outcome import MEANINGS
from workshop.runner.summary import Failure, NotebookResult, Summary

FIELDS = {
    "run_id": "20261124T120000Z-dev-ana",
    "run_name": "dev-ana",
    "action": "Deployment",
    "target": "local",
    "model": "wine_quality",
    "status": "failed",
    "sentence": "part_1_2_training, cell 3: it broke.",
    "exit_code": 1,
    "started": "2026-11-24T12:00:00+00:00",
    "seconds": 3.5,
    "git_commit": "0" * 40,
    "commit_problem": "",
    "parameters": {"part_1_1_data_prep": {"sample": 0.2}},
    "data_version": {"development": 0, "production": 0},
    "outcome": None,
    "slots_before": {"production": None, "staging": None, "previous": None},
    "slots_after": {"production": None, "staging": None, "previous": None},
    "report": "report.html",
    "run_page": "",
    "submitted_by": "",
}


def summary() -> Summary:
    failure = Failure(notebook="part_1_2_training", cell=3, source="1/0", message="it broke.")
    notebooks = [
        NotebookResult(name="part_1_1_data_prep", status="succeeded", seconds=1.0, output="1_1.ipynb"),
        NotebookResult(name="part_1_2_training", status="failed", seconds=2.0, output="1_2.ipynb", error=failure),
        NotebookResult(name="part_1_3_evaluating", status="not run"),
    ]
    return Summary.model_validate({**FIELDS, "notebooks": notebooks})


def test_the_fields_that_other_programs_read_are_these(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    summary().write(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {name: value for name, value in written.items() if name != "notebooks"} == FIELDS
    assert [set(notebook) for notebook in written["notebooks"]] == [
        {"name", "status", "seconds", "output", "error"}
    ] * 3
    assert written["notebooks"][1]["error"] == {
        "notebook": "part_1_2_training",
        "cell": 3,
        "source": "1/0",
        "message": "it broke.",
    }
    assert written["notebooks"][2] == {
        "name": "part_1_3_evaluating",
        "status": "not run",
        "seconds": None,
        "output": None,
        "error": None,
    }


def test_nothing_but_the_summary_is_left_beside_it(tmp_path: Path) -> None:
    summary().write(tmp_path / "summary.json")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_exit_codes_are_the_contract() -> None:
    assert {status: meaning.exit_code for status, meaning in MEANINGS.items()} == {
        "promoted": 0,
        "staged": 0,
        "compared": 0,
        "unchanged": 0,
        "done": 0,
        "not better": 3,
        "vetoed": 3,
        "refused": 1,
        "failed": 1,
        "interrupted": 1,
    }


def test_a_failure_before_the_first_cell_is_not_said_to_be_on_databricks() -> None:
    failure = Failure(notebook="n", cell=0, source="", message="it broke.")
    assert failure.place == "on Databricks"
    assert failure.model_copy(update={"on_databricks": False}).place == "before its first cell"
