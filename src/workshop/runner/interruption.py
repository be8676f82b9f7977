"""Signal handling of the command line: Ctrl-C and SIGTERM stop a run at a safe point.

Python ignores a KeyboardInterrupt that is raised in a library's clean-up code, and the run would go on. So the request
to stop is stored, and the next cell does not start.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SECONDS_OF_ONE_REQUEST = 0.5
"""Signals within this time are one request: the terminal's Ctrl-C and a supervisor's SIGTERM may come together."""


@dataclass
class _State:
    """The request to stop this process, if any."""

    requested: bool = False
    requested_at: float = 0.0
    """In seconds of the monotonic clock."""
    held: bool = False
    """A step is running that must not be cut short."""
    cut_short: bool = False
    """Such a step was cut short by a second request."""


_state = _State()


def install() -> None:
    """Handle Ctrl-C and SIGTERM in this process from now on."""
    for signum in _SIGNALS:
        signal.signal(signum, on_signal)
    show = sys.unraisablehook

    def show_others(unraisable: Any) -> None:
        # Python prints the traceback of an exception that it ignores; this one is stored and raised again.
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            show(unraisable)

    sys.unraisablehook = show_others


def sigterm_as_ctrl_c() -> None:
    """Make SIGTERM raise KeyboardInterrupt, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def on_signal(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a signal handler gets both
    """Raise KeyboardInterrupt now, or defer it to the end of the current `held()` block.

    Raises:
        KeyboardInterrupt: nothing is held, or this is a second request.
    """
    now, again = time.monotonic(), _state.requested
    if again and now < _state.requested_at + _SECONDS_OF_ONE_REQUEST:
        return
    _state.requested, _state.requested_at = True, now
    if _state.held and not again:
        return
    _state.cut_short = _state.cut_short or _state.held
    raise KeyboardInterrupt


def check() -> None:
    """Stop here if a stop was requested.

    Raises:
        KeyboardInterrupt: a stop was requested.
    """
    if _state.requested:
        raise KeyboardInterrupt


def acknowledge() -> None:
    """Clear the request: the run is stopping, and its clean-up must not be stopped again."""
    _state.requested = False


@contextmanager
def held() -> Iterator[None]:
    """Defer a stop until the block has ended, for a step such as a request that creates something.

    Raises:
        KeyboardInterrupt: at the end of the block, or in it at a second request.
    """
    outer, _state.held = _state.held, True
    try:
        yield
    finally:
        _state.held = outer
        if not outer:
            check()


@contextmanager
def not_held() -> Iterator[None]:
    """Allow a stop again in the block, within `held()`."""
    outer, _state.held = _state.held, False
    try:
        check()
        yield
    finally:
        _state.held = outer


def something_was_cut_short() -> bool:
    """Return whether a `held()` block was cut short since the last call."""
    was, _state.cut_short = _state.cut_short, False
    return was


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals in the block: a second Ctrl-C must not disturb the clean-up after the first."""
    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
    acknowledge()
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def delayed() -> Iterator[None]:
    """Deliver signals after the block, and block Ctrl-C permanently in processes that it starts.

    For POSIX. A Ctrl-C in a terminal goes to all processes there: the runner gets it and ends what it has started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {each: signal.getsignal(each) for each in _SIGNALS}
    for each in _SIGNALS:
        signal.signal(each, lambda signum, _: received.append(signum))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for signum in received:
            signal.raise_signal(signum)
