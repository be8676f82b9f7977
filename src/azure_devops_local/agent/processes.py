"""Programs that a step runs: each in a process group of its own, read line by line, and gone when the step ends."""

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
    """It was not over in time."""


def run(  # noqa: PLR0913, PLR0917  # what a process needs
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    take: Take,
    take_error: Take | None = None,
) -> int:
    """Run a program to its end, and return its exit code, negative for a signal.

    Whatever ends this early, an interrupt included, first asks the processes to stop, and kills them after a while.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: its environment variables, all of them.
        deadline: when it has to be over, as `time.monotonic` counts.
        take: gets each line that it prints.
        take_error: gets those of standard error, where they are to be kept apart.

    Raises:
        UserError: it can't be started, or prints a line without end.
        OutOfTimeError: it was not over at the deadline.
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
            finally:
                _send(process, signal.SIGKILL)
    finally:
        _send(process, signal.SIGKILL)
        process.wait()
    return process.returncode


def kill_marked(marks: Mapping[str, str]) -> int:
    """Kill every process but this one that has these environment variables; returns how many there were."""
    killed: set[int] = set()
    # Once more after each round: one of them may have started another meanwhile, and dying takes a moment.
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
    """What a process and its children print, line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]", take: Take, take_error: Take) -> None:
        streams = ((process.stdout, take), (process.stderr, take_error))
        self._streams: list[tuple[IO[bytes], Take]] = [(stream, taking) for stream, taking in streams if stream]
        self._unfinished = {stream.fileno(): b"" for stream, _ in self._streams}
        self._selector = selectors.DefaultSelector()
        for stream, taking in self._streams:
            self._selector.register(stream, selectors.EVENT_READ, taking)
        # The end of the program is an event of its own: children that it leaves behind keep its output open.
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
        """Hand on the lines until the program has ended and what it printed is read, or until all its children have.

        Raises:
            OutOfTimeError: that was not before the deadline.
        """
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
