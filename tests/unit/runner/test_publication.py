import base64
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from markdown_it import MarkdownIt

from tests.unit.runner.test_report import DECISION, ONE_PIXEL, OUTCOME
from tests.unit.runner.test_summary import FIELDS
from workshop.core.errors import UsageError
from workshop.runner.publication import as_junit, as_markdown, check_folder, publish
from workshop.runner.summary import Failure, NotebookResult, Summary

SENTENCE = "Version 2 is <b>not</b> better | than *it*.\n# No title"


def a_run(folder: Path, *, drawn: bool = True) -> Summary:
    """A run's folder with an executed 1_3, and its summary."""
    folder.mkdir(parents=True)
    outputs = [nbformat.v4.new_output("display_data", {"image/png": ONE_PIXEL})] if drawn else []
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("draw()", outputs=outputs)])
    nbformat.write(notebook, folder / "part_1_3_evaluating.ipynb")
    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    failure = Failure(notebook="part_1_4_scoring", cell=3, source="1/0 < 2", message="It broke & <stopped>.")
    results = [
        NotebookResult(
            name="part_1_3_evaluating",
            status="succeeded",
            seconds=1.5,
            output=str(folder / "part_1_3_evaluating.ipynb"),
        ),
        NotebookResult(name="part_1_4_scoring", status="failed", seconds=0.5, error=failure),
        NotebookResult(name="part_1_5_more", status="not run"),
    ]
    summary = Summary.model_validate(
        {
            **FIELDS,
            "sentence": SENTENCE,
            "outcome": replace(OUTCOME, decision=DECISION).as_dict(),
            "notebooks": results,
            "report": str(folder / "report.html"),
        }
    )
    summary.write(folder / "summary.json")
    return summary


def test_everything_of_the_run_is_in_the_folder(tmp_path: Path) -> None:
    publish(a_run(tmp_path / "run"), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "decision.md",
        "decision.png",
        "notebooks.xml",
        "part_1_3_evaluating.ipynb",
        "report.html",
        "summary.json",
        "summary.md",
    }
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["sentence"] == SENTENCE
    assert (tmp_path / "out" / "decision.png").read_bytes() == base64.b64decode(ONE_PIXEL)
    assert f"(data:image/png;base64,{ONE_PIXEL})" in (tmp_path / "out" / "summary.md").read_text()
    assert "base64" not in (tmp_path / "out" / "decision.md").read_text()


def test_a_run_without_a_picture_has_none(tmp_path: Path) -> None:
    publish(a_run(tmp_path / "run", drawn=False), tmp_path / "out")
    assert not (tmp_path / "out" / "decision.png").exists()
    assert (tmp_path / "out" / "summary.md").read_text() == (tmp_path / "out" / "decision.md").read_text()


def test_what_is_said_is_text_in_the_markdown_and_never_markup(tmp_path: Path) -> None:
    html = MarkdownIt("commonmark").enable("table").render(as_markdown(a_run(tmp_path / "run")))
    assert "<h2>Version 2 is &lt;b&gt;not&lt;/b&gt; better | than *it*. # No title</h2>" in html
    assert html.count("<h1>") == 0
    assert "<td>loads &lt;well&gt;</td>" in html
    assert html.count("<td>✓</td>") == html.count("<td>✗ failed</td>") == html.count("<td>– not judged</td>") == 1
    for figure in ("0.8000", "0.8100", "-0.0100", "-0.0300"):
        assert f"<td>{figure}</td>" in html
    assert "<p>This is look &lt;2&gt;.</p>" in html


def test_the_notebooks_are_test_cases(tmp_path: Path) -> None:
    suite = ElementTree.fromstring(as_junit(a_run(tmp_path / "run")))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    ended, failed, not_run = suite.findall("testcase")
    assert (ended.get("name"), ended.get("time"), len(ended)) == ("part_1_3_evaluating", "1.5", 0)
    (failure,) = failed
    assert (failure.tag, failure.get("message"), failure.text) == ("failure", "It broke & <stopped>.", "1/0 < 2")
    assert [child.tag for child in not_run] == ["skipped"]


def test_a_folder_with_something_in_it_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    check_folder(tmp_path / "out")
    check_folder(tmp_path / "new" / "one")
    assert (tmp_path / "new" / "one").is_dir()
    (tmp_path / "out" / "older.txt").touch()
    with pytest.raises(UsageError, match="is not empty: publish into a folder that is empty"):
        check_folder(tmp_path / "out")
    with pytest.raises(UsageError, match="is not empty"):
        check_folder(tmp_path / "out" / "older.txt")
