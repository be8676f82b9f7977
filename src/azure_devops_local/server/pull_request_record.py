"""The record of a pull request."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


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
