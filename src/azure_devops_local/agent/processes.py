"""The processes of a step: run in their own process group, read line by line, and killed if the step is stopped."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from kit_common.errors import UserError

GRACE = 5.0
"""Seconds between asking processes to stop and killing them."""
_DRAIN = 1.0
_PAUSE = 0.02
_LONGEST_LINE = 64 * 2**20
Take = Callable[[str], None]


class OutOfTimeError(Exception):
    """The program did not end before the deadline."""


def run(  # noqa: PLR0913, PLR0917  # the parameters of a process
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    take: Take,
    take_error: Take | None = None,
) -> int:
    """Run a program to its end, and return its exit code, negative for a signal; its children may go on.

    At the deadline and on an interrupt, its processes get SIGTERM, and SIGKILL after `GRACE` seconds.

    Args:
        command: program and arguments.
        folder: the working directory.
        environment: all its environment variables.
        deadline: the latest end, on the clock of `time.monotonic`.
        take: called with each line of output.
        take_error: called with each line of standard error instead.

    Raises:
        UserError: the program can't be started, or prints a line without end.
        OutOfTimeError: it did not end before the deadline.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if take_error else subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{command[0]} can't be started in {folder} ({error}): check folder and variables.") from error
    try:
        with _Output(process, take, take_error or take) as output:
            try:
                output.follow(deadline)
            except (KeyboardInterrupt, OutOfTimeError):
                _send(process, signal.SIGTERM)
                with suppress(OutOfTimeError):
                    output.follow(time.monotonic() + GRACE, to_the_last=True)
                raise
    except BaseException:
        _send(process, signal.SIGKILL)
        raise
    finally:
        process.wait()
    return process.returncode


def kill_marked(marks: Mapping[str, str]) -> int:
    """Kill every process but this one that has these environment variables; return the number of processes."""
    killed: set[int] = set()
    # Repeated, because a process may have started another one meanwhile, and takes a moment to end.
    while found := [process for process in psutil.process_iter() if _is_marked(process, marks)]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
            killed.add(process.pid)
        threading.Event().wait(_PAUSE)
    return len(killed)


def _is_marked(process: psutil.Process, marks: Mapping[str, str]) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return marks.items() <= process.environ().items()
    except (psutil.Error, OSError):  # another user's, or gone
        return False


def _send(process: "subprocess.Popen[bytes]", signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signum)


class _Output:
    """The output of a process and its children, line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]", take: Take, take_error: Take) -> None:
        streams = ((process.stdout, take), (process.stderr, take_error))
        self._streams: list[tuple[IO[bytes], Take]] = [(stream, taking) for stream, taking in streams if stream]
        self._unfinished = {stream.fileno(): b"" for stream, _ in self._streams}
        self._selector = selectors.DefaultSelector()
        for stream, taking in self._streams:
            self._selector.register(stream, selectors.EVENT_READ, taking)
        # The end of the program is a separate event, because children that are still running keep its output open.
        self._ended, at_the_end = os.pipe()
        self._selector.register(self._ended, selectors.EVENT_READ)

        def wait() -> None:
            process.wait()
            os.close(at_the_end)

        threading.Thread(target=wait, daemon=True).start()

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        os.close(self._ended)
        for stream, taking in self._streams:
            if unfinished := self._unfinished[stream.fileno()]:
                taking(_text(unfinished))
            stream.close()

    def follow(self, deadline: float, to_the_last: bool = False) -> None:
        """Pass on the lines until the program has ended, or, with `to_the_last`, until all its children have."""
        has_ended = self._ended not in self._selector.get_map()
        while self._selector.get_map():
            left = deadline - time.monotonic()
            if has_ended and not to_the_last:
                left = 0.0
            ready = self._selector.select(None if left == float("inf") else max(0.0, left))
            if not ready and has_ended and not to_the_last:
                return
            if not ready or time.monotonic() >= deadline:
                raise OutOfTimeError
            for key, _ in ready:
                if key.data is not None:
                    self._read(key.fd, key.data)
                    continue
                self._selector.unregister(key.fd)
                has_ended = True
                if not to_the_last:
                    deadline = min(deadline, time.monotonic() + _DRAIN)

    def _read(self, descriptor: int, take: Take) -> None:
        chunk = os.read(descriptor, 2**16)
        if not chunk:
            self._selector.unregister(descriptor)
        *lines, self._unfinished[descriptor] = (self._unfinished[descriptor] + chunk).split(b"\n")
        for line in lines:
            take(_text(line))
        if len(self._unfinished[descriptor]) > _LONGEST_LINE:
            self._unfinished[descriptor] = b""
            raise UserError("The program prints a line without end: let it end its lines.")


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")
