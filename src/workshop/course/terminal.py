"""A terminal of the automated participant: a bash session whose commands end with their exit code."""

import os
import selectors
import signal
import subprocess
import threading
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
# Reads a command from its input, runs it in this shell without input, writes its code and the folder to descriptor 3.
# Ctrl-C ends the command, not the session. The command sees the exit code of the one before it.
_SESSION = r"""
trap : INT
__code=0
while IFS= read -r -d '' __command; do
    (exit "$__code")
    eval "$__command" </dev/null 3>&-
    __code=$?
    printf '%s %s\0' "$__code" "$PWD" >&3
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
        self._closed, self._close = os.pipe()
        script = _SESSION if ends == 3 else f"exec 3>&{ends} {ends}>&-\n{_SESSION}"
        try:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", script],
                cwd=folder,
                env=environment,
                stdin=commands,
                stdout=printed,
                stderr=printed,
                pass_fds=(ends,),
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"bash can't be started ({error.strerror}): the course's commands need it.") from error
        finally:
            for descriptor in (commands, ends, printed):
                os.close(descriptor)
        os.set_blocking(self._printed, False)
        self._changed = threading.Condition()
        self._output = self._end = b""
        self._taken = 0
        self._printed_to_the_end = False
        self._is_over = False
        self._runs = False
        # A thread, because a command that runs on must not wait until its output is read.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

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
        with self._changed:
            if self._is_over:
                raise UserError("The session has ended: a command before this one has left bash.")
            self._output = self._end = b""
            self._runs = True
        with suppress(BrokenPipeError):  # the reader then notices the end of the session
            os.write(self._commands, command.encode() + _END)
        return self._wait(is_ready, timeout)

    def follow(self, is_ready: Callable[[Sequence[str]], bool], timeout: float) -> Ended:
        """Wait until `is_ready` accepts the lines printed since the last call, or for the end of the running command.

        Raises:
            TimeoutError: neither happened in time; with the lines so far.
            UserError: no command runs.
        """
        if not self._runs:
            raise UserError("No command runs in this terminal: begin the block with one, as in `$ workshop serve`.")
        with self._changed:
            self._output = self._output[self._taken :]
        return self._wait(is_ready, timeout)

    def interrupt(self) -> Ended | None:
        """Press Ctrl-C if a command still runs, and return its end."""
        if not self._runs:
            return None
        for _ in range(_TIMES):
            os.killpg(self._process.pid, signal.SIGINT)
            # Between two programs of one line bash ignores the signal, as it does on a screen: it is pressed again.
            with suppress(TimeoutError):
                return self._wait(None, _TO_STOP)
        raise UserError("The command does not end after Ctrl-C: end it with another command.")

    def close(self) -> None:
        """End the session and the command that still runs in it."""
        with suppress(UserError, ProcessLookupError):
            self.interrupt()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._close)
        self._reader.join()
        for descriptor in (self._commands, self._ends, self._printed, self._closed):
            os.close(descriptor)

    def _wait(self, is_ready: Callable[[Sequence[str]], bool] | None, timeout: float) -> Ended:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._end:
                if self._is_over:
                    self._runs = False
                    raise UserError("The command has ended the session itself: leave out `exit` and `exec`.")
                if is_ready and is_ready(self._lines()):
                    self._taken = self._output.rfind(b"\n") + 1
                    return Ended(None, self._lines())
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    self._taken = self._output.rfind(b"\n") + 1
                    raise TimeoutError(self._lines())
            self._runs = False
            code, _, folder = self._end.decode(errors="surrogateescape").partition(" ")
            self.folder = Path(folder)
            return Ended(int(code), self._lines())

    def _read(self) -> None:
        """Take output and ends of commands until the terminal is closed."""
        message = b""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._ends, self._printed, self._closed):
                selector.register(descriptor, selectors.EVENT_READ)
            while (ready := {key.fd for key, _ in selector.select()}) and self._closed not in ready:
                with self._changed:
                    # Before it reports an end, bash has written all output of the command.
                    part = os.read(self._ends, 2**16) if self._ends in ready else None
                    if not self._take_output():
                        selector.unregister(self._printed)
                    if part == b"":
                        selector.unregister(self._ends)
                        self._is_over = True
                    message += part or b""
                    if message.endswith(_END):
                        self._end, message = message[:-1], b""
                    self._changed.notify_all()

    def _take_output(self) -> bool:
        """Take what is printed so far; return whether more may come."""
        if self._printed_to_the_end:
            return True
        with suppress(BlockingIOError):
            while part := os.read(self._printed, 2**16):
                self._output += part
            self._printed_to_the_end = True
            return False
        return True

    def _lines(self) -> list[str]:
        """Return the lines as a reader sees them: of a line that was overwritten, its last state."""
        text = self._output.decode(errors="replace").replace("\r\n", "\n")
        lines = [visible(line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines
