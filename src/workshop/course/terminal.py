"""A terminal of the automated participant: a bash session whose commands end with their exit code."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kit_common.errors import UserError
from kit_common.sanitize import visible

LONGEST = 900.0
"""Time-out of a command in seconds."""
_TO_STOP = 3.0
"""Seconds after which Ctrl-C is pressed again."""
_TIMES = 10
_END = b"\0"
# Reads a command from one descriptor, runs it in this shell without input, writes its code and the folder to another.
# Ctrl-C ends the command, not the session. The command sees the exit code of the one before it.
_SESSION = r"""
trap : INT
__code=0
while IFS= read -r -d '' -u 9 __command; do
    (exit "$__code")
    eval "$__command" </dev/null 8>&- 9<&-
    __code=$?
    printf '%s %s\0' "$__code" "$PWD" >&8
done
"""


class Ended(NamedTuple):
    """What a command has printed so far, and its exit code; None while it runs."""

    code: int | None
    lines: list[str]


class Terminal:
    """A bash session without a screen: no colours, no progress bars, standard error and output in order."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Start the session in that folder, with these environment variables and no others."""
        self.folder = folder
        """The folder in which the session is after its last command."""
        commands, self._commands = os.pipe()
        self._ends, ends = os.pipe()
        self._printed, printed = os.pipe()
        script = f"exec 8>&{ends} 9<&{commands} {ends}>&- {commands}<&-\n{_SESSION}"
        try:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", script],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(ends, commands),
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"bash can't be started ({error.strerror}): the course's commands need it.") from error
        finally:
            for descriptor in (commands, ends, printed):
                os.close(descriptor)
        os.set_blocking(self._printed, False)
        self._output = b""
        self._runs = False

    def run(
        self,
        command: str,
        is_ready: Callable[[Sequence[str]], bool] | None = None,
        timeout: float = LONGEST,
    ) -> Ended:
        """Run a command to its end, or until `is_ready` accepts the lines so far; it then runs on.

        Raises:
            TimeoutError: neither happened in time; with the lines so far.
            UserError: the session itself has ended.
        """
        self.interrupt()
        self._output = b""
        self._runs = True
        try:
            os.write(self._commands, command.encode() + _END)
        except BrokenPipeError as error:
            raise UserError("The session has ended: a command before this one has left bash.") from error
        return self._follow(is_ready, time.monotonic() + timeout)

    def follow(self, is_ready: Callable[[Sequence[str]], bool], timeout: float) -> Ended:
        """Wait until `is_ready` accepts the lines that the running command prints from now on, or for its end.

        Raises:
            TimeoutError: neither happened in time; with the lines so far.
            UserError: no command runs.
        """
        if not self._runs:
            raise UserError("No command runs in this terminal: begin the block with one, as in `$ workshop serve`.")
        self._output = self._output.rpartition(b"\n")[2]
        return self._follow(is_ready, time.monotonic() + timeout)

    def interrupt(self) -> Ended | None:
        """Press Ctrl-C if a command still runs, and return its end."""
        if not self._runs:
            return None
        for _ in range(_TIMES):
            os.killpg(self._process.pid, signal.SIGINT)
            # Between two programs of one line bash ignores the signal, as it does on a screen: it is pressed again.
            with suppress(TimeoutError):
                return self._follow(None, time.monotonic() + _TO_STOP)
        raise UserError("The command does not end after Ctrl-C: end it with another command.")

    def close(self) -> None:
        """End the session and the command that still runs in it."""
        with suppress(TimeoutError, UserError, ProcessLookupError):
            self.interrupt()
        for descriptor in (self._commands, self._ends, self._printed):
            os.close(descriptor)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _follow(self, is_ready: Callable[[Sequence[str]], bool] | None, deadline: float) -> Ended:
        message = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ends, selectors.EVENT_READ)
            selector.register(self._printed, selectors.EVENT_READ)
            while not message.endswith(_END):
                ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
                if not ready:
                    raise TimeoutError(self._lines())
                if self._printed in ready and not self._read():
                    selector.unregister(self._printed)
                if self._ends in ready:
                    part = os.read(self._ends, 2**16)
                    if not part:
                        self._runs = False
                        raise UserError("The command has ended the session itself: leave out `exit` and `exec`.")
                    message += part
                elif is_ready and is_ready(self._lines()):
                    return Ended(None, self._lines())
        self._runs = False
        self._read()
        code, _, folder = message[:-1].decode(errors="surrogateescape").partition(" ")
        self.folder = Path(folder)
        return Ended(int(code), self._lines())

    def _read(self) -> bool:
        """Take what is printed so far; return whether more may come."""
        with suppress(BlockingIOError):
            while part := os.read(self._printed, 2**16):
                self._output += part
            return False
        return True

    def _lines(self) -> list[str]:
        """Return the lines as a reader sees them: of a line that was overwritten, its last state."""
        text = self._output.decode(errors="replace").replace("\r\n", "\n")
        lines = [visible(line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines
