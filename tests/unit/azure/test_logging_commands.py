"""What a run's announcement says to Azure DevOps, and with what it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from azure_devops_local.agent import logging_commands
from workshop.azure.logging_commands import announce, command, for_pull_request
from workshop.cli import azure, pipelines
from workshop.core.errors import WorkshopError

SENTENCE = "Not better: version 3 keeps Production."
SET = "##vso[task.setvariable variable=delivery.published;]true"
REASON = "The lower bound of the difference is -0.01; 0 is needed."


def publish(folder: Path, code: int, status: str, sentence: str = SENTENCE, **more: Any) -> Path:
    folder.mkdir()
    summary = {"status": status, "exit_code": code, "sentence": sentence, "outcome": None, **more}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (folder / "summary.md").write_text("# Decision\n![](picture)\n", encoding="utf-8")
    (folder / "decision.md").write_text("# Decision\n", encoding="utf-8")
    return folder


def test_a_promotion_shows_its_summary_and_its_tag(tmp_path: Path) -> None:
    lines, code = announce(publish(tmp_path / "p", 0, "promoted"))

    assert code == 0
    assert lines == [
        SET,
        f"##vso[task.uploadsummary]{tmp_path / 'p' / 'summary.md'}",
        "##vso[build.addbuildtag]promoted",
    ]


@pytest.mark.parametrize(
    ("not_better", "kind", "expected"), [("warning", "warning", 0), ("error", "error", 3)], ids=["cd", "ci"]
)
def test_a_model_that_is_not_better(tmp_path: Path, not_better: Any, kind: str, expected: int) -> None:
    outcome = {"decision": {"reason": REASON}}

    lines, code = announce(publish(tmp_path / "p", 3, "not better", outcome=outcome), not_better)

    assert code == expected
    assert lines[3] == f"##vso[task.logissue type={kind};]{SENTENCE} {REASON}"
    complete = [f"##vso[task.complete result=SucceededWithIssues;]{SENTENCE}"]
    assert lines[4:] == (complete if not_better == "warning" else [])


@pytest.mark.parametrize("not_better", ["warning", "error"])
def test_a_failure_is_an_error_whatever_was_tolerated(tmp_path: Path, not_better: Any) -> None:
    lines, code = announce(publish(tmp_path / "p", 1, "failed", "1_2 failed."), not_better)

    assert code == 1
    assert lines[3:] == ["##vso[task.logissue type=error;]1_2 failed."]


def test_without_a_markdown_summary_none_is_uploaded(tmp_path: Path) -> None:
    folder = publish(tmp_path / "p", 0, "done")
    (folder / "summary.md").unlink()

    assert announce(folder)[0] == [SET, "##vso[build.addbuildtag]done"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"exit_code": "0"}', "\x80"])
def test_a_folder_that_holds_no_run(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkshopError, match="no run"):
        announce(tmp_path)
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(WorkshopError, match="publish the run again"):
        announce(tmp_path)


def test_what_a_pull_request_says(tmp_path: Path) -> None:
    folder = publish(tmp_path / "p", 0, "staged", outcome={"status": "staged"})

    assert for_pull_request(folder, "integration", "main") == ("integration into main: staged", "# Decision\n")
    (folder / "decision.md").unlink()
    assert for_pull_request(folder, "integration", "main")[1] == SENTENCE


def test_a_run_without_a_decision_proposes_nothing(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match="made no decision, so there is nothing to propose"):
        for_pull_request(publish(tmp_path / "p", 0, "done"), "integration", "main")


@pytest.mark.parametrize("app", [azure.app, pipelines.app], ids=["workshop azure", "workshop pipelines, as before"])
def test_the_command_ends_as_the_run_did(app: Typer, tmp_path: Path) -> None:
    folder = publish(tmp_path / "p", 3, "not better", "dev\n##vso[task.complete result=Failed;]")
    runner = CliRunner()

    error = runner.invoke(app, ["announce", str(folder)])
    warning = runner.invoke(app, ["announce", str(folder), "--not-better", "warning"])

    assert (error.exit_code, warning.exit_code) == (3, 0)
    assert all(line.startswith("##vso[") for line in error.stdout.splitlines())
    assert len(error.stdout.splitlines()) == 4
    assert isinstance(runner.invoke(app, ["announce", str(tmp_path)]).exception, WorkshopError)


def test_a_name_in_the_sentence_cant_form_a_command() -> None:
    line = command("task.logissue", "dev\n##vso[task.complete result=Failed;]x", type="error;x=1]##vso[a.b]")

    assert "\n" not in line
    assert line == ("##vso[task.logissue type=error%3Bx=1%5D##vso[a.b%5D;]dev%0A##vso[task.complete result=Failed;]x")


@given(st.text(), st.text())
def test_whatever_is_said_is_read_as_it_was(text: str, value: str) -> None:
    line = command("task.logissue", text, key=value)

    assert line.splitlines()[0].startswith("##vso[task.logissue key=")
    assert not {"\r", "\n"} & set(line)
    read = logging_commands.parse(line)
    assert read is not None
    assert (read.properties["key"].strip(), read.text) == (value.strip(), text)
