"""The output of commands: what they wait for, and output that must not change the exit code of a swap."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from rich.console import Console
from rich.status import Status

from kit_common.garbage import uncollected
from workshop.core.errors import explain_os_error


@contextmanager
def waiting_for(what: str) -> Iterator[Status]:
    """Show on a terminal what the command waits for, until the block ends or stops the status.

    It is on standard error, so that a program can read standard output; a log gets nothing. No garbage is searched for
    meanwhile, since most of the wait is imports.
    """
    with status_of(what) as status, uncollected():
        yield status


def status_of(what: str) -> Status:
    """Return the status that `waiting_for` shows, for a command that goes on while it is shown."""
    return Console(stderr=True).status(f"Waiting for {what} …")


@contextmanager
def output_may_fail() -> Iterator[None]:
    """Let the command in the block go on if standard output fails, as with `| head` or on a full disk.

    The rest of the output is dropped. Unless the reader has just closed the pipe, one sentence on standard error names
    the cause.
    """
    if sys.stdout is None:  # closed by the caller: nothing is written
        yield
        return
    with redirect_stdout(_Droppable(sys.stdout)):
        yield


class _Droppable:
    """A text stream whose content is dropped once a write has failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self, error: OSError) -> None:
        # The buffered output goes there too, or Python would fail at exit with an exit code of its own.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if not isinstance(error, BrokenPipeError):
            print(f"The output is dropped from here on. {explain_os_error(error)}", file=sys.stderr)
