"""The announcement of a run to Azure DevOps: its lines and its exit code."""

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "summary.md").write_text("# Decision\n![](picture)\n", encoding="utf-8")
    (tmp_path / "decision.md").write_text("# Decision\n", encoding="utf-8")
    return tmp_path


def publish(folder: Path, code: int, status: str, sentence: str = SENTENCE, outcome: Any = None) -> Path:
    summary = {"status": status, "exit_code": code, "sentence": sentence, "outcome": outcome}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("code", "status", "not_better", "expected", "issue"),
    [
        (0, "promoted", "error", 0, []),
        (3, "not better", "error", 3, [f"##vso[task.logissue type=error;]{SENTENCE} {REASON}"]),
        (
            3,
            "not better",
            "warning",
            0,
            [
                f"##vso[task.logissue type=warning;]{SENTENCE} {REASON}",
                f"##vso[task.complete result=SucceededWithIssues;]{SENTENCE}",
            ],
        ),
        (1, "failed", "error", 1, [f"##vso[task.logissue type=error;]{SENTENCE}"]),
        (1, "failed", "warning", 1, [f"##vso[task.logissue type=error;]{SENTENCE}"]),
    ],
)
def test_a_run_is_reported_with_summary_tag_and_issue(
    folder: Path, code: int, status: str, not_better: Any, expected: int, issue: list[str]
) -> None:
    publish(folder, code, status, outcome={"decision": {"reason": REASON}})
    summary = f"##vso[task.uploadsummary]{folder / 'summary.md'}"
    lines = [SET, summary, f"##vso[build.addbuildtag]{status}", *issue]
    assert announce(folder, not_better) == (lines, expected)
    (folder / "summary.md").unlink()
    assert announce(folder, not_better)[0] == [line for line in lines if line != summary]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"exit_code": "0"}', "\x80"])
def test_a_folder_without_a_run_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkshopError, match="no run"):
        announce(tmp_path)
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(WorkshopError, match="publish the run again"):
        announce(tmp_path)


def test_a_pull_request_gets_its_title_and_description_from_the_run(folder: Path) -> None:
    with pytest.raises(WorkshopError, match="made no decision"):
        for_pull_request(publish(folder, 0, "done"), "integration", "main")
    publish(folder, 0, "staged", outcome={"status": "staged"})
    assert for_pull_request(folder, "integration", "main") == ("Not better: version 3 keeps Production", "# Decision\n")
    (folder / "decision.md").unlink()
    assert for_pull_request(folder, "integration", "main")[1] == SENTENCE


@pytest.mark.parametrize("app", [azure.app, pipelines.app], ids=["workshop azure", "workshop pipelines, as before"])
def test_the_command_ends_with_the_code_of_the_run(app: Typer, folder: Path) -> None:
    publish(folder, 3, "not better", "dev\n##vso[task.complete result=Failed;]")
    error = CliRunner().invoke(app, ["announce", str(folder)])
    warning = CliRunner().invoke(app, ["announce", str(folder), "--not-better", "warning"])
    assert (error.exit_code, warning.exit_code) == (3, 0)
    assert all(line.startswith("##vso[") for line in error.stdout.splitlines())
    assert len(error.stdout.splitlines()) == 4


def test_a_value_can_not_form_a_command() -> None:
    line = command("task.logissue", "dev\n##vso[task.complete result=Failed;]x", type="error;x=1]##vso[a.b]")
    assert line == "##vso[task.logissue type=error%3Bx=1%5D##vso[a.b%5D;]dev%0A##vso[task.complete result=Failed;]x"


@given(st.text(), st.text())
def test_the_agent_reads_every_value_as_it_was_written(text: str, value: str) -> None:
    line = command("task.logissue", text, key=value)
    assert not {"\r", "\n"} & set(line)
    read = logging_commands.parse(line)
    assert read is not None
    assert (read.properties.get("key", "").strip(), read.text) == (value.strip(), text)
