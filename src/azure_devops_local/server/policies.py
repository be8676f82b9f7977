"""Pull requests, and the policies of a protected branch."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class Policy:
    """The conditions for a pull request into a branch."""

    build: str = ""
    """The pipeline that must succeed on the merge."""
    reviewers: int = 0
    """Number of people besides the author who must approve; the person who completes it is one."""


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
    """The number of the run that tests the merge; 0 if no test is needed."""

    @property
    def name(self) -> str:
        """The pull request's name in sentences."""
        return f"pull request {self.id} ({self.source} into {self.target})"

    @property
    def merge_ref(self) -> str:
        """The ref of the merge commit that is tested."""
        return f"refs/pull/{self.id}/merge"
