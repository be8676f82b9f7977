"""Somebody asks a run to stop, with Ctrl-C or SIGTERM.

A KeyboardInterrupt that happens to be raised in a library's clean-up code is ignored by Python, and the run would go on
as if nobody had asked. So the wish is remembered, and the next cell does not start.
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


@dataclass
class _Wish:
    """What somebody wants of this process."""

    asked: bool = False
    """To stop."""
    asked_at: float = 0.0
    """When that was, on a clock of its own."""
    held: bool = False
    """Not now: something is being done that must not be cut short."""
    cut_short: bool = False
    """It was, since somebody has asked twice."""


_wish = _Wish()
_SECONDS_OF_ONE_WISH = 0.5
"""Whatever comes within them means the same: the terminal's Ctrl-C and a supervisor's SIGTERM may come as one."""


def listen() -> None:
    """Hear Ctrl-C and SIGTERM from now on, in this whole process."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, ask)
    show = sys.unraisablehook

    def show_others(unraisable: Any) -> None:
        # Python shows the traceback of what it ignores; this one is remembered, and comes again.
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            show(unraisable)

    sys.unraisablehook = show_others


def ask(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a signal handler gets both
    """Stop now, or, where this is held or not heard, at the next moment that is good for it.

    Raises:
        KeyboardInterrupt: nothing is being held, or this is another time.
    """
    now, again = time.monotonic(), _wish.asked
    if again and now < _wish.asked_at + _SECONDS_OF_ONE_WISH:
        return
    _wish.asked, _wish.asked_at = True, now
    if _wish.held and not again:
        return
    _wish.cut_short = _wish.cut_short or _wish.held
    raise KeyboardInterrupt


def check() -> None:
    """Stop here if somebody has asked.

    Raises:
        KeyboardInterrupt: somebody has.
    """
    if _wish.asked:
        raise KeyboardInterrupt


def heard() -> None:
    """The run is being ended: what ends it must not be stopped again."""
    _wish.asked = False


@contextmanager
def held() -> Iterator[None]:
    """Do what must come to its end, such as a request that makes something; who asks to stop meanwhile is heard then.

    Raises:
        KeyboardInterrupt: at the end of the block, or in it where somebody asks a second time.
    """
    outer, _wish.held = _wish.held, True
    try:
        yield
    finally:
        _wish.held = outer
        if not outer:
            check()


@contextmanager
def not_held() -> Iterator[None]:
    """Within such a block, a moment that is good for stopping."""
    outer, _wish.held = _wish.held, False
    try:
        check()
        yield
    finally:
        _wish.held = outer


def something_was_cut_short() -> bool:
    """Whether something that was held has not come to its end, since this was asked last."""
    was, _wish.cut_short = _wish.cut_short, False
    return was


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hear nobody who asks to stop while what was asked for is being done: a second Ctrl-C must not lose the first."""
    if threading.current_thread() is not threading.main_thread():  # signals come to that one alone
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    heard()
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
