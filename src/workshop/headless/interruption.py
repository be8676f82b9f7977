"""Somebody asks a run to stop, with Ctrl-C or SIGTERM.

A KeyboardInterrupt that happens to be raised in a library's clean-up code is ignored by Python, and the run would go on
as if nobody had asked. So the wish is remembered, and the next cell does not start.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_asked = {"to stop": False}


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
    """Stop now, or, where this is not heard, before the next cell.

    Raises:
        KeyboardInterrupt: always.
    """
    _asked["to stop"] = True
    raise KeyboardInterrupt


def check() -> None:
    """Stop here if somebody has asked.

    Raises:
        KeyboardInterrupt: somebody has.
    """
    if _asked["to stop"]:
        raise KeyboardInterrupt


def heard() -> None:
    """The run is being ended: what ends it must not be stopped again."""
    _asked["to stop"] = False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hear nobody who asks to stop while what was asked for is being done: a second Ctrl-C must not lose the first."""
    if threading.current_thread() is not threading.main_thread():  # signals come to that one alone
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
