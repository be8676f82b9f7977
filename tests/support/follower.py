"""Followers whose tests decide when to look."""

import threading
from collections.abc import Callable

NEVER = 86_400.0
"""Seconds between the looks of a follower whose test looks itself."""


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("It did not happen.")
