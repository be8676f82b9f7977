"""The summary of a run, `summary.json`; pipelines and other programs read it, so its fields must not change."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from kit_common.files import write_whole
from workshop.core.promotion.outcome import Outcome, RunStatus


class Failure(BaseModel):
    """The place where a notebook stopped, and the reason."""

    notebook: str
    cell: int
    """The number of the code cell, from 1, as in the executed notebook; 0 before the first and on Databricks."""
    source: str
    """The cell's code, or, if that is not known, a description of the place."""
    message: str
    """One sentence, without a traceback."""
    on_databricks: bool = Field(default=True, exclude=True)
    """Whether cell 0 means Databricks, which does not number the cells; not written."""

    @property
    def place(self) -> str:
        """The cell, as part of a sentence."""
        if self.cell:
            return f"cell {self.cell}"
        return "on Databricks" if self.on_databricks else "before its first cell"


class NotebookResult(BaseModel):
    """The result of one notebook."""

    name: str
    status: Literal["succeeded", "failed", "interrupted", "not run"]
    seconds: float | None = None
    output: str | None = None
    """The path of the executed notebook, or of its page from Databricks."""
    error: Failure | None = None


class Summary(BaseModel):
    """The result of a run."""

    run_id: str
    run_name: str
    action: str
    target: str = "local"
    model: str
    status: RunStatus
    sentence: str
    exit_code: int
    started: str
    """UTC, ISO 8601."""
    seconds: float
    git_commit: str
    commit_problem: str = ""
    """Why the commit is unknown, in a sentence; empty if it is known."""
    parameters: dict[str, dict[str, Any]] = {}
    """The parameters that the run gave to each notebook, by its name."""
    data_version: dict[str, int]
    """The version of each table."""
    notebooks: list[NotebookResult]
    outcome: Outcome | None
    """The decision of 1_3 and what was done about it; null if 1_3 made none."""
    slots_before: dict[str, str | None]
    slots_after: dict[str, str | None]
    report: str
    run_page: str = ""
    """The run's page on Databricks; empty for a run on this machine."""
    submitted_by: str = ""
    """The user, or the application id of the service principal, that submitted it there."""

    def write(self, path: Path) -> None:
        """Write the file completely or not at all."""
        write_whole(path, self.model_dump_json(indent=2) + "\n")
