"""The facts of the home: tables, runs and predictions as files."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from workshop.core.scoring.rows import PREDICTIONS
from workshop.core.settings import current_settings
from workshop.course import checking
from workshop.course.facts import KitRun
from workshop.course.readers import everything, home
from workshop.runner.summary import NotebookResult, Summary

SUMMARY = Summary(
    run_id="20261130T000000Z-dev-ana", run_name="dev-ana", action="Integration", model="wine_quality", status="done",
    sentence="It ended.", exit_code=0, started="2026-11-30", seconds=1, git_commit="a" * 40, data_version={},
    notebooks=[NotebookResult(name="part_1_1_data_prep", status="succeeded")], outcome=None,
    slots_before={}, slots_after={}, report="report.html",
    parameters={"part_1_1_data_prep": {"run_name": "dev-ana", "sample": 0.1}},
)  # fmt: skip


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(text, encoding="utf-8")


def predict(folder: Path, version: str) -> None:
    rows = {"wine_id": [1, 2], "probability": [0.1, 0.2], "model_version": [version] * 2, "batch": ["now"] * 2}
    write_deltalake(folder, pa.table(rows, schema=PREDICTIONS), mode="append")


def test_an_empty_home_stays_empty() -> None:
    place = current_settings().home
    found, damaged = home.read(current_settings())
    assert (found.tables, found.runs, damaged) == (frozenset(), (), {})
    assert not place.exists()


def test_tables_are_those_with_a_version() -> None:
    data = current_settings().data
    for name in ("development", "prepared/dev-ana"):
        write_deltalake(data / name, pa.table({"a": [1]}))
    (data / "production" / "_delta_log").mkdir(parents=True)
    assert home.read(current_settings())[0].tables == {"development", "prepared/dev-ana"}


def test_tables_in_a_catalog_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    states = {line.criterion.id: line.finding for line in checking.judge(everything.read(Path.cwd(), "ana"))}
    assert states["tables"].state == "can't tell"
    assert "main.wines" in states["tables"].sentence


def test_runs_that_ended_that_go_on_and_that_are_damaged() -> None:
    runs = current_settings().runs
    write(runs / SUMMARY.run_id, SUMMARY.model_dump_json())
    write(runs / "20261130T000001Z-dev-ana", "{")
    write(runs / "20261130T000002Z-dev-ana", json.dumps({"run_id": "x"}))
    (runs / "20261130T000003Z-dev-bob").mkdir()
    (runs / "a file").write_text("", encoding="utf-8")

    found, damaged = home.read(current_settings())

    assert found.unfinished == {"dev-bob"}
    assert found.runs == (
        KitRun(
            SUMMARY.run_id, "dev-ana", "done", parameters={"run_name": "dev-ana", "sample": 0.1},
            notebooks={"part_1_1_data_prep": "succeeded"},
        ),
    )  # fmt: skip
    assert "20261130T000001Z-dev-ana, 20261130T000002Z-dev-ana" in damaged["kit runs"]
    states = {line.criterion.id: line.finding for line in checking.judge(everything.read(Path.cwd(), "dev-bob"))}
    assert states["headless"].state == "can't tell"
    assert "still runs or was killed" in states["headless"].sentence
    assert "remove that folder" in states["headless"].sentence


def test_the_newest_predictions_name_their_version() -> None:
    folder = current_settings().data / "predictions"
    predict(folder / "dev-ana", "1")
    assert home.read(current_settings())[0].scored_by == {"1"}
    predict(folder / "dev-ana", "12")
    assert home.read(current_settings())[0].scored_by == {"12"}
    predict(folder / "main", "9")
    assert home.read(current_settings())[0].scored_by == {"12", "9"}


def test_a_folder_that_is_a_file_is_named() -> None:
    place = current_settings().home
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file", encoding="utf-8")
    lines = checking.judge(everything.read(Path.cwd(), "ana"), 0)
    assert {line.finding.state for line in lines} <= {"not yet", "met", "can't tell"}
