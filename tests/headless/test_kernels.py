import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
from jupyter_core.utils import run_sync

from workshop.headless import kernels

pytestmark = pytest.mark.integration

STOPPING = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("warm", ["1", "0"])
def test_nobody_else_can_reach_a_kernel_and_nothing_of_it_remains(
    warm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    with kernels.kernel(dict(os.environ), tmp_path, tmp_path / "kernel.log") as manager:
        client = manager.client()
        client.start_channels()
        run_sync(client.wait_for_ready)(timeout=60)
        client.stop_channels()
        process = psutil.Process(getattr(manager.provisioner, "pid", None))
        folder = Path(manager.connection_file).parent
        assert manager.get_connection_info()["transport"] == "ipc"
        assert (
            len([path for path in folder.iterdir() if path.is_socket()]) == 5
        )  # shell, control, iopub, stdin, heartbeat
        assert stat.S_IMODE(folder.stat().st_mode) & 0o777 == 0o700
    assert not folder.exists()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_kernel_has_the_environment_it_was_given_and_no_other(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "FOR_THE_KERNEL": "yes"}
    with kernels.kernel(environment, tmp_path, tmp_path / "kernel.log") as manager:
        client = manager.client()
        client.start_channels()
        run_sync(client.wait_for_ready)(timeout=60)
        reply = run_sync(client.execute_interactive)(
            "import os", user_expressions={"seen": "(os.environ.get('FOR_THE_KERNEL'), 'WORKSHOP_HOME' in os.environ)"}
        )
        client.stop_channels()
    assert reply["content"]["user_expressions"]["seen"]["data"]["text/plain"] == "('yes', False)"


def test_the_exit_code_of_a_living_kernel_is_unknown(tmp_path: Path) -> None:
    with kernels.kernel(dict(os.environ), tmp_path, tmp_path / "kernel.log") as manager:
        assert kernels.exit_code(manager) is None


def test_a_kernel_that_is_being_started_is_started_before_a_run_is_stopped(tmp_path: Path) -> None:
    told: list[int] = []
    before = {each: signal.signal(each, lambda signum, _: told.append(signum)) for each in STOPPING}
    try:
        with kernels._undisturbed():
            for each in STOPPING:
                os.kill(os.getpid(), each)
            assert told == []
        assert sorted(told) == sorted(STOPPING)
        assert all(signal.getsignal(each) is not None for each in STOPPING)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
