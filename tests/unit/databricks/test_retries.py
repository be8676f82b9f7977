"""Retries, and their limits."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk.clock import RealClock
from databricks.sdk.errors import InternalError, TooManyRequests

from workshop.databricks.retries import SECONDS_IN_A_HURRY, PatientClock, in_a_hurry, patiently
from workshop.runner import interruption


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The length of each wait, on a clock that only the waits move."""
    taken: list[float] = []
    monkeypatch.setattr(RealClock, "time", lambda self: 1_000_000.0 + sum(taken))
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: taken.append(seconds))
    return taken


@pytest.fixture
def client() -> Any:
    """A client, as far as its limits."""
    clock = PatientClock()
    clock.longest = 60
    return SimpleNamespace(config=SimpleNamespace(clock=clock, retry_timeout_seconds=60))


def test_a_call_that_fails_for_a_while_is_repeated(waits: list[float], client: Any) -> None:
    answers = [InternalError("no"), InternalError("no"), "yes"]

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert patiently(client, call) == "yes"
    assert len(waits) == 2


def test_a_wait_is_limited_whatever_the_service_asks_for(waits: list[float], client: Any) -> None:
    def call() -> None:
        raise TooManyRequests("later", retry_after_secs=3600)

    with pytest.raises(TimeoutError):
        patiently(client, call)
    assert waits == [60]


def test_in_a_hurry_all_calls_together_have_half_a_minute(waits: list[float], client: Any) -> None:
    def call() -> None:
        raise InternalError("no")

    with in_a_hurry(client), in_a_hurry(client):
        for _ in range(3):
            with pytest.raises(TimeoutError) as given_up:
                patiently(client, call)
            assert isinstance(given_up.value.__cause__, InternalError)
    assert sum(waits) <= SECONDS_IN_A_HURRY
    with pytest.raises(TimeoutError):
        patiently(client, call)
    assert sum(waits) > SECONDS_IN_A_HURRY


def test_a_wait_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    def stopped(clock: RealClock, seconds: float) -> None:
        waited.append(seconds)
        interruption.on_signal(signal.SIGINT, None)

    monkeypatch.setattr(RealClock, "sleep", stopped)
    with pytest.raises(KeyboardInterrupt), interruption.held():
        PatientClock().sleep(60)
    assert (waited, interruption.something_was_cut_short()) == ([60], False)
    with pytest.raises(KeyboardInterrupt), interruption.held():  # stopped already
        PatientClock().sleep(60)
    interruption.acknowledge()
    assert waited == [60]
