"""What several tests of the team's Azure DevOps begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_devops_local.server import run_queue
from tests.support.team import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A person's clone with one commit."""
    return Clone(tmp_path / "clone")


@pytest.fixture
def no_agent(home: Path) -> Iterator[None]:
    """No agent takes runs from the queue, so that a test can look at it."""
    with run_queue.lock("agent"):
        yield
