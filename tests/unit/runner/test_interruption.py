import signal
import subprocess
import sys

import pytest

from workshop.runner import interruption


def test_an_interruption_that_is_lost_comes_before_the_next_cell() -> None:
    interruption.check()
    with pytest.raises(KeyboardInterrupt):
        interruption.on_signal(signal.SIGINT, None)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    interruption.acknowledge()
    interruption.check()


def test_what_is_held_comes_to_its_end_first() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interruption.held():
        with interruption.held():
            interruption.on_signal(signal.SIGTERM, None)
        done.append("all of it")
    interruption.acknowledge()
    assert done == ["all of it"]
    assert not interruption.something_was_cut_short()


def test_what_comes_at_the_same_moment_is_one_wish() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        try:
            interruption.on_signal(signal.SIGINT, None)
        finally:
            interruption.on_signal(signal.SIGTERM, None)
            done.append("all of it")
    interruption.acknowledge()
    assert done == ["all of it"]


def test_a_second_request_cuts_a_held_step_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_SECONDS_OF_ONE_REQUEST", 0)
    with pytest.raises(KeyboardInterrupt), interruption.held():
        interruption.on_signal(signal.SIGINT, None)
        interruption.on_signal(signal.SIGINT, None)
    interruption.acknowledge()
    assert interruption.something_was_cut_short()
    assert not interruption.something_was_cut_short()


def test_in_between_is_a_good_moment() -> None:
    with pytest.raises(KeyboardInterrupt), interruption.held():
        interruption.on_signal(signal.SIGINT, None)
        with interruption.not_held():
            pytest.fail("it stops before that")
    with pytest.raises(KeyboardInterrupt), interruption.held(), interruption.not_held():
        interruption.acknowledge()
        interruption.on_signal(signal.SIGINT, None)
    interruption.acknowledge()
    assert not interruption.something_was_cut_short()


def test_a_run_that_is_ending_is_not_stopped_again() -> None:
    with pytest.raises(KeyboardInterrupt):
        interruption.on_signal(signal.SIGINT, None)
    with interruption.undisturbed():
        signal.raise_signal(signal.SIGINT)
        interruption.check()


_LOST_IN_A_FINALIZER = """
import signal
from workshop.runner import interruption

class Dropped:
    def __init__(self, at_the_end):
        self.at_the_end = at_the_end
    def __del__(self):
        self.at_the_end()

interruption.install()
Dropped(lambda: signal.raise_signal(signal.SIGTERM))
Dropped(lambda: [][0])
try:
    interruption.check()
except KeyboardInterrupt:
    print("comes again")
"""


def test_an_interruption_that_is_lost_is_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", _LOST_IN_A_FINALIZER], capture_output=True, text=True, check=True)
    assert done.stdout == "comes again\n"
    assert "KeyboardInterrupt" not in done.stderr
    assert "IndexError" in done.stderr  # what else is ignored is shown as ever
