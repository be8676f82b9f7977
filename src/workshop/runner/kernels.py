"""Kernels for headless runs: started warm where the operating system can fork, with private sockets.

A kernel spends most of a short notebook's time importing pandas, scikit-learn and MLflow. A warm kernel is forked from
a process that has imported them already. `multiprocessing`'s fork server is that process; Jupyter's kernel provisioner
starts a kernel from it.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, process, resource_tracker, util
from pathlib import Path
from types import ModuleType
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import run_sync
from typing_extensions import override

from workshop.core.errors import WorkshopError
from workshop.runner import interruption
from workshop.runner.kernel_manager import KernelManager
from workshop.runner.open_files import allow_open_files
from workshop.runner.socket_folder import PREFIX, room_for_sockets

WARM_PROVISIONER = "workshop-warm"
_USUAL_PROVISIONER = "local-provisioner"
_LAUNCHER = "workshop.runner.kernel_process"
_PERSONAL = ("IPYTHONDIR", "MPLBACKEND", "PYTHONSTARTUP")
"""Settings of a user or an editor for interactive work, which a headless kernel does not get."""
_SECONDS_TO_END = 20
"""A kernel that does not shut down gets SIGTERM after half of this time, and SIGKILL after all of it."""
_SECONDS_BETWEEN_LOOKS = 0.01


def can_start_warm() -> bool:
    """Return whether kernels can be forked: on Linux; elsewhere forking with these libraries is not safe."""
    return sys.platform.startswith("linux") and os.environ.get("WORKSHOP_WARM_KERNELS", "1") != "0"


def begin_warming() -> None:
    """Start the process that kernels are forked from; it imports their packages while the caller goes on."""
    allow_open_files()
    if can_start_warm():
        with room_for_sockets():
            util.get_temp_dir()  # the fork server's, made once in a process
        multiprocessing.get_context("forkserver").set_forkserver_preload(["workshop.runner.warm_imports"])
        with _quiet_start():
            forkserver.ensure_running()


@contextmanager
def kernel(environment: Mapping[str, str], cwd: Path, log: Path) -> Iterator[AsyncKernelManager]:
    """Start a kernel, and end it and its connection with the block.

    Its sockets are files in a private folder, since any user of the machine could connect to a TCP port; Windows uses
    TCP.

    Args:
        environment: the kernel's environment variables, all of them.
        cwd: the folder it runs in.
        log: the file for the output of the kernel process itself.
    """
    with room_for_sockets():
        util.get_temp_dir()  # the fork server's, made once in a process
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / "ipython").mkdir()
    manager = KernelManager(
        kernel_name="python3",
        kernel_spec_manager=_OwnKernel(folder / "ipython"),
        connection_file=str(folder / "connection.json"),
        shutdown_wait_time=_SECONDS_TO_END,
    )
    if sys.platform != "win32":
        manager.transport, manager.ip = "ipc", str(folder / "socket")
    variables = {name: value for name, value in environment.items() if name not in _PERSONAL}
    stopped = False
    for_kernel, for_runner = os.pipe()  # the runner's end closes with it, and a fresh kernel ends then
    try:
        with os.fdopen(for_kernel) as stdin, log.open("ab") as stream:
            _start(manager, env=variables, cwd=str(cwd), stdin=stdin, stdout=stream, stderr=stream)
        yield manager
    except KeyboardInterrupt:
        stopped = True
        raise
    finally:
        try:
            _end(manager, at_once=stopped)
        finally:
            os.close(for_runner)
            for client in manager.clients:
                client.stop_channels()
            run_sync(manager.cleanup_resources)()
            shutil.rmtree(folder, ignore_errors=True)


def exit_code(manager: AsyncKernelManager) -> int | None:
    """Return the exit code of a kernel that has died, negative for a signal; None if alive or unknown."""
    provisioner = manager.provisioner
    return run_sync(provisioner.poll)() if provisioner is not None and provisioner.has_process else None


def _start(manager: AsyncKernelManager, **arguments: Any) -> None:
    try:
        run_sync(manager.start_kernel)(**arguments)
    except OSError as error:
        raise WorkshopError(
            f"A kernel does not start with {sys.executable} ({error.strerror}): install the packages again with "
            "`make setup`, and allow enough open files and processes (`ulimit -n` and `ulimit -u`)."
        ) from error


def _end(manager: AsyncKernelManager, at_once: bool) -> None:
    """End a kernel and the processes that it leaves in its group.

    Args:
        manager: the kernel's.
        at_once: kill it; else shut it down as JupyterLab does: `atexit` functions run, files are flushed.
    """
    group = getattr(manager.provisioner, "pgid", None) if manager.has_kernel else None
    try:
        if manager.has_kernel and not at_once:
            run_sync(_ask_to_end)(manager)
    finally:
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)
        if group and sys.platform != "win32":
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


async def _ask_to_end(manager: AsyncKernelManager) -> None:
    # Not `shutdown_kernel`: it first sends Ctrl-C, which would end the kernel's child processes.
    if await manager.is_alive():
        await manager.request_shutdown()
    await manager.finish_shutdown(pollinterval=_SECONDS_BETWEEN_LOOKS)


class _OwnKernel(KernelSpecManager):
    """A spec manager with the kernel of this Python only, independent of the user's kernels and profiles."""

    def __init__(self, ipython_dir: Path) -> None:
        super().__init__()
        self._ipython_dir = ipython_dir

    @override
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        arguments = ["-f", "{connection_file}", f"--ipython-dir={self._ipython_dir}"]
        provisioner = WARM_PROVISIONER if can_start_warm() else _USUAL_PROVISIONER
        return KernelSpec(
            argv=[sys.executable, "-m", _LAUNCHER, *arguments],
            display_name="Python 3",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": provisioner}},
        )


class WarmProvisioner(LocalProvisioner):
    """A provisioner that forks Python kernels from the warm process, and starts any other as usual."""

    @override
    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        if _LAUNCHER not in cmd:
            return await super().launch_kernel(cmd, **kwargs)
        arguments = cmd[cmd.index(_LAUNCHER) + 1 :]
        log = getattr(kwargs.get("stderr"), "name", os.devnull)
        forked = multiprocessing.get_context("forkserver").Process(
            target=_become_kernel, args=(arguments, kwargs["env"], kwargs.get("cwd"), log), daemon=True
        )
        try:
            with _quiet_start():
                forked.start()
        except (EOFError, ConnectionError):  # the fork server has crashed, most likely in a library that it imports
            return await super().launch_kernel(cmd, **kwargs)
        self.process = _ForkedKernel(forked)  # type: ignore[assignment]  # has the methods of Popen that are used
        self.pid = self.pgid = forked.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Start a process without the main module, and deliver signals later: stopped early, it prints a traceback."""
    resource_tracker.ensure_running()  # its start would lift the block of SIGINT
    with _nothing_to_import_again(), interruption.delayed():
        yield


@contextmanager
def _nothing_to_import_again() -> Iterator[None]:
    """Hide the main module from `multiprocessing`, which would run it again in each process that it starts.

    A kernel needs neither it nor its folder. Without an `if __name__ == "__main__":` it would start another run.
    """
    main, path = sys.modules["__main__"], sys.path
    sys.modules["__main__"], sys.path = ModuleType("__main__"), _path_for_kernels()
    try:
        yield
    finally:
        sys.modules["__main__"], sys.path = main, path


def _path_for_kernels() -> list[str]:
    """Return `sys.path` without the folder of the command, which a kernel replaces by the notebook's."""
    of_command = {"", getattr(process, "ORIGINAL_DIR", None), str(Path(sys.argv[0]).absolute().parent)}
    begins_with_it = not sys.flags.safe_path and sys.path[:1] and sys.path[0] in of_command
    return sys.path[1:] if begins_with_it else list(sys.path)


class _ForkedKernel:
    """A forked process with the attributes of `subprocess.Popen` that the provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()

    def send_signal(self, signum: int) -> None:
        with suppress(ProcessLookupError):  # as in Popen: a process that has ended ignores signals
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _become_kernel(arguments: list[str], environment: dict[str, str], cwd: str | None, log: str) -> None:
    """Turn this freshly forked process into a kernel; ends the process when the kernel has been shut down."""
    with open(log, "ab", buffering=0) as stream:  # noqa: PTH123  # may be os.devnull
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)

    import numpy as np  # both are imported already in the fork server

    from workshop.runner.kernel_process import HeadlessKernel, be_a_main_process, end_with_the_runner, finish

    runner = multiprocessing.parent_process()
    be_a_main_process()
    np.random.seed()  # else each kernel draws the same numbers; Python's `random` does this by itself
    os.setsid()  # Ctrl-C on the terminal is for the runner, which then ends the kernel
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # blocked in the fork server; interrupts a cell here
    os.environ.clear()
    os.environ.update(environment)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = [_LAUNCHER, *arguments]
    if runner is not None:
        end_with_the_runner(runner.sentinel)
    HeadlessKernel.launch_instance(arguments, parent_handle=os.getppid())
    finish()
