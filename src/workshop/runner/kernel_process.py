"""The process of a headless kernel: an IPython kernel that drops no output.

A warm kernel becomes one after a fork; a fresh kernel runs this module.
"""

import atexit
import gc
import io
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any

if __name__ == "__main__" and Path(sys.path[0] or ".").resolve() == Path.cwd():
    del sys.path[0]  # a module beside the notebooks must not replace one that the kernel imports, as in ipykernel

import zmq
from ipykernel.kernelapp import IPKernelApp
from typing_extensions import override

_USUAL_LIMIT = 1000
"""Messages that ZeroMQ queues at a socket by default."""


class HeadlessKernel(IPKernelApp):
    """The kernel application."""

    @override
    def init_iopub(self, context: Any) -> None:
        # A publisher drops messages above its limit while the runner is slower than the cell: 0 is no limit.
        context.setsockopt(zmq.SNDHWM, 0)
        super().init_iopub(context)  # type: ignore[no-untyped-call]
        context.setsockopt(zmq.SNDHWM, _USUAL_LIMIT)


def end_with_the_runner(pipe: int) -> None:
    """Kill this kernel and its child processes when the runner has ended, even if it was killed.

    ipykernel itself watches its parent process, which is the fork server for a warm kernel, and leaves children alive.

    Args:
        pipe: one end of a pipe whose other end only the runner has.
    """

    def watch() -> None:
        connection.wait([pipe])
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def be_a_main_process() -> None:
    """Let notebooks start processes as in JupyterLab.

    To the runner this process stays daemonic: the runner ends it on exit instead of waiting for it.
    """
    process = multiprocessing.current_process()
    process.daemon, process.name = False, "MainProcess"
    multiprocessing.set_start_method(None, force=True)  # the system's default, not this one


def finish() -> None:
    """Do Python's clean-up at exit, which `multiprocessing` skips, without unloading libraries, which takes seconds."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()  # private; Python itself calls it only at its own, slow exit
    sys.modules["__main__"].__dict__.clear()
    gc.collect()
    for each in gc.get_objects():
        if issubclass(type(each), io.IOBase):
            with suppress(OSError, ValueError):  # closed, or without a reader
                each.flush()


class FreshKernel(HeadlessKernel):
    """A kernel that was not forked."""

    @override
    def init_poller(self) -> None:
        pass  # `end_with_the_runner` does this, and also ends child processes


def _start_fresh() -> None:
    runner = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # processes of a cell get no input, as in JupyterLab
    if sys.platform == "win32":  # no process groups there
        HeadlessKernel.launch_instance()
    else:
        end_with_the_runner(runner)
        FreshKernel.launch_instance()


if __name__ == "__main__":
    _start_fresh()
