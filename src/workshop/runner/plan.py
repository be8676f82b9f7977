"""What a run is to do, and what comes back from wherever it is done."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from workshop.core.parameters import DevopsAction
from workshop.core.promotion.outcome import Outcome, RunStatus
from workshop.runner.notebooks import Notebook
from workshop.runner.summary import NotebookResult


@dataclass(frozen=True)
class Request:
    """What a person or a pipeline asked for."""

    action: DevopsAction = DevopsAction.INTEGRATION
    run_name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    scoring: bool = False
    compare_only: bool = False
    target: str = "local"
    cell_timeout: int | None = None


@dataclass(frozen=True)
class Plan:
    """What is executed, and where it leaves what comes of it."""

    request: Request
    notebooks: list[Notebook]
    """In this order."""
    parameters: Mapping[str, Mapping[str, Any]]
    """Of each notebook, by its name; checked."""
    model_name: str
    commit: str
    folder: Path
    """The run's own, on this machine; its name is the run's id."""
    commit_problem: str = ""
    """Why the commit is unknown, in a sentence; empty if it is known."""

    @property
    def run_id(self) -> str:
        """Tells this run from any other."""
        return self.folder.name


@dataclass(frozen=True)
class Executed:
    """What came of the notebooks."""

    results: list[NotebookResult]
    status: RunStatus
    """`done`, `failed` or `interrupted`; what a decision makes of it is said by its outcome."""
    sentence: str
    outcome: Outcome | None
    data_version: dict[str, int]
    run_page: str = ""
    """Where a person sees it, if it is not on this machine."""
    over: bool = True
    """Whether nothing of it runs any more."""
    slots_before: dict[str, str | None] | None = None
    """Who held the slots before it began, where it began before this process did."""
    started: datetime | None = None
    """When that was."""
    seconds: float | None = None
    """How long it took, then."""


class Progress(Protocol):
    """Tells whoever watches how far a run is."""

    def said(self, sentence: str) -> None:
        """Something that is not about one notebook."""

    def notebook_started(self, name: str, cells: int | None) -> None:
        """A notebook with that many code cells starts; None where nobody will say which of them runs."""

    def cell_started(self, number: int) -> None:
        """Its code cell `number` starts."""

    def notebook_ended(self, result: NotebookResult) -> None:
        """It has ended, one way or another."""


class Target(Protocol):
    """Somewhere that notebooks can be executed."""

    def reach(self, progress: Progress) -> None:
        """Make sure that it is there and lets us in, before anything is asked of the registry.

        Raises:
            WorkshopError: it is not, or does not.
        """

    def get_ready(self) -> None:
        """Make there what a run needs; until then nothing of it exists.

        Raises:
            WorkshopError: it can't be made.
        """

    def executed(self, plan: Plan, progress: Progress) -> AbstractContextManager[Executed]:
        """Execute the notebooks in order until one does not succeed, and tidy up when the block ends.

        What came of them is written down in the block: whoever is killed while tidying up has that already.

        Raises:
            WorkshopError: none of them could be started; one that fails is in the result.
        """
