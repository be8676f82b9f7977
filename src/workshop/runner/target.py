"""The interface of a target, where a run's notebooks are executed: what it gets, and what it returns."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from workshop.core.parameters import DevopsAction
from workshop.core.promotion.outcome import COMPARED_ON, Outcome, RunStatus
from workshop.runner.notebooks import EVALUATION, Notebook, select
from workshop.runner.summary import NotebookResult


@dataclass(frozen=True)
class Request:
    """The options of a run, from the command line or a pipeline."""

    action: DevopsAction = DevopsAction.INTEGRATION
    run_name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    scoring: bool = False
    compare_only: bool = False
    target: str = "local"
    cell_timeout: int | None = None

    def chosen(self) -> list[Notebook]:
        """Return the notebooks to run, in order; raise a UsageError if one is not found."""
        return select(self.notebooks, self.scoring)

    @property
    def decides(self) -> bool:
        """Whether the run includes 1_3, which compares the candidate with Production."""
        return any(notebook.name == EVALUATION for notebook in self.chosen())

    @property
    def purpose(self) -> str:
        """What such a run compares on, and the slot that it may move, in a sentence."""
        action = self.action
        effect = "every slot stays as it is" if self.compare_only else f"a better one takes {action.slot.capitalize()}"
        return (
            f"Action {action.lower()}: compare the candidate with Production on {COMPARED_ON[action.slot]}; {effect}."
        )


@dataclass(frozen=True)
class Plan:
    """The notebooks to execute, with their parameters and the folder of the results."""

    request: Request
    notebooks: list[Notebook]
    """In the order of execution."""
    parameters: Mapping[str, Mapping[str, Any]]
    """The checked parameters of each notebook, by its name."""
    model_name: str
    commit: str
    folder: Path
    """The run's folder on this machine; its name is the run's id."""
    commit_problem: str = ""
    """Why the commit is unknown, in a sentence; empty if it is known."""

    @property
    def run_id(self) -> str:
        """The unique id of the run."""
        return self.folder.name


@dataclass(frozen=True)
class Executed:
    """The result of the notebooks."""

    results: list[NotebookResult]
    status: RunStatus
    """`done`, `failed` or `interrupted`; a decision's status is in `outcome`."""
    sentence: str
    outcome: Outcome | None
    data_version: dict[str, int]
    run_page: str = ""
    """The address of the run's page, if it did not run on this machine."""
    submitted_by: str = ""
    """The user, or the application id of the service principal, that submitted it; empty on this machine."""
    over: bool = True
    """Whether the run has ended."""
    slots_before: dict[str, str | None] | None = None
    """The slots' holders before the run, for a run that an earlier process started."""
    started: datetime | None = None
    """The start of such a run."""
    seconds: float | None = None
    """The duration of such a run."""


class Progress(Protocol):
    """The display of a run's progress."""

    def said(self, sentence: str) -> None:
        """Show a sentence that is not about one notebook."""

    def notebook_started(self, name: str, cells: int | None) -> None:
        """Show that a notebook with that many code cells starts; None if its cells are not reported."""

    def cell_started(self, number: int) -> None:
        """Show that its code cell `number` starts."""

    def notebook_ended(self, result: NotebookResult) -> None:
        """Show that the notebook has ended."""


class Target(Protocol):
    """A place where notebooks can be executed."""

    def reach(self, progress: Progress) -> None:
        """Connect to the target, before the first call to the registry.

        Raises:
            WorkshopError: the target does not answer or refuses access.
        """

    def get_ready(self, notebooks: Sequence[Notebook]) -> None:
        """Create what a run needs on the target.

        Args:
            notebooks: the notebooks of the run.

        Raises:
            WorkshopError: it can't be created.
        """

    def executed(self, plan: Plan, progress: Progress) -> AbstractContextManager[Executed]:
        """Execute the notebooks in order until one does not succeed, and clean up when the block ends.

        The caller writes the results in the block, so that they are kept if the clean-up is killed.

        Raises:
            WorkshopError: no notebook could be started; a failed notebook is part of the result.
        """
