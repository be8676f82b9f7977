"""How long a call is tried again that the service, or the way to it, does not answer."""

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
"""What a call fails with when the service or the way to it is out of order for a while, after the SDK's own retries."""
T = TypeVar("T")


class PatientClock(RealClock):
    """By which the SDK waits before it tries again: for as long as we have time, whatever a service asks for."""

    def __init__(self) -> None:
        self.longest = 300.0
        """Seconds that one wait may take."""
        self.until: float | None = None
        """When there is no time left at all."""

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            TimeoutError: there is no time for that.
            KeyboardInterrupt: somebody wants to stop.
        """
        if self.until is not None and self.time() + seconds > self.until:
            raise TimeoutError("There is no time to try again.") from sys.exception()
        with interruption.not_held():  # nothing is on its way now
            super().sleep(min(seconds, self.longest))


@contextmanager
def in_a_hurry(client: WorkspaceClient) -> Iterator[None]:
    """Try calls again for half a minute at most, all of them together: somebody waits for this to stop."""
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
    """Call again, for as long as the client may, what has failed because the service or the way to it was out of order.

    The SDK does so by itself for some failures and not for others: not for an error 500, nor for an upload.
    """
    seconds = timedelta(seconds=client.config.retry_timeout_seconds or 300)
    again: Callable[[], T] = retried(on=LOST, timeout=seconds, clock=client.config.clock)(call)
    return again()
