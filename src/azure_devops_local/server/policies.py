"""Pull requests, and what a protected branch asks of one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class Policy:
    """What a branch asks of a pull request into it."""

    build: str = ""
    """The pipeline that must succeed on the merge."""
    reviewers: int = 0
    """How many people besides the author must agree; the person that completes it is one."""


class PullRequest(BaseModel):
    """One pull request."""

    id: int
    source: str
    """Branches, without `refs/heads/`."""
    target: str
    title: str
    description: str = ""
    author: str
    status: Literal["active", "completed", "abandoned"] = "active"
    created: datetime
    completed_by: str = ""
    merge_commit: str = ""
    validation_run: int = 0
    """The number of the run that tests the merge; 0 where none has to."""

    @property
    def name(self) -> str:
        """Its name in sentences."""
        return f"pull request {self.id} ({self.source} into {self.target})"

    @property
    def merge_ref(self) -> str:
        """The ref of the merge that is tested."""
        return f"refs/pull/{self.id}/merge"
