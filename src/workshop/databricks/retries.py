"""Retries for calls that fail because Databricks or the network is temporarily unavailable."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import RealClock
from databricks.sdk.errors import DeadlineExceeded, InternalError, TemporarilyUnavailable, TooManyRequests
from databricks.sdk.retries import retried

from workshop.runner import interruption

SECONDS_IN_A_HURRY = 30
LOST = (
    requests.ConnectionError,
    requests.Timeout,
    TimeoutError,
    ConnectionError,
    TemporarilyUnavailable,
    DeadlineExceeded,
    InternalError,
    TooManyRequests,
)
"""Errors of a call while Databricks or the network is unavailable, after the SDK's own retries."""
T = TypeVar("T")


class PatientClock(RealClock):
    """The clock of the SDK's retries: limits each wait, whatever the service asks for."""

    def __init__(self, longest: float = 300) -> None:
        self.longest = longest
        """Longest single wait, in seconds."""
        self.until: float | None = None
        """End of all waits, on this clock; None for no end."""

    def sleep(self, seconds: float) -> None:
        """Wait before the next attempt.

        Raises:
            TimeoutError: the wait would end too late.
            KeyboardInterrupt: the user stops this process.
        """
        if self.until is not None and self.time() + seconds > self.until:
            raise TimeoutError("There is no time to try again.") from sys.exception()
        with interruption.not_held():  # no request is open now
            super().sleep(min(seconds, self.longest))


@contextmanager
def in_a_hurry(client: WorkspaceClient) -> Iterator[None]:
    """Limit the retries of all calls in the block to half a minute together, as the user waits for the end."""
    clock = client.config.clock
    if not isinstance(clock, PatientClock) or clock.until is not None:
        yield
        return
    clock.until = clock.time() + SECONDS_IN_A_HURRY
    try:
        yield
    finally:
        clock.until = None


def patiently(client: WorkspaceClient, call: Callable[[], T]) -> T:
    """Repeat a call while Databricks or the network is unavailable, for the client's retry time.

    The SDK itself does not repeat a call after an error 500, nor an upload.
    """
    seconds = timedelta(seconds=client.config.retry_timeout_seconds or 300)
    again: Callable[[], T] = retried(on=LOST, timeout=seconds, clock=client.config.clock)(call)
    return again()
