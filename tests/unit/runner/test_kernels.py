import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from jupyter_core.utils import run_sync

from tests.support.models import refusal
from tests.support.notebook_files import write_notebook
from workshop.runner import interruption, kernels
from workshop.runner.socket_folder import room_for_sockets

pytestmark = pytest.mark.integration

STOPPING = (signal.SIGINT, signal.SIGTERM)
RUNNER = """
import os
from pathlib import Path
from workshop.runner import kernels
from workshop.runner.papermill_run import Job, execute
from workshop.runner.notebooks import Notebook
kernels.begin_warming()
job = Job(Notebook(Path("n.ipynb").absolute()), Path("executed.ipynb"), {}, dict(os.environ))
result = execute(job, lambda _: None)
print(result.status, result.error and result.error.message)
"""


@pytest.mark.parametrize("warm", ["1", "0"])
def test_other_users_cannot_reach_a_kernel_and_nothing_of_it_remains(
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


@pytest.mark.skipif(sys.platform == "win32", reason="sockets have no path there")
@pytest.mark.parametrize("warm", ["1", pytest.param("0", marks=pytest.mark.thorough)])
def test_a_kernel_starts_where_the_temporary_folder_has_a_long_path(tmp_path: Path, warm: str) -> None:
    long = tmp_path / ("a" * 90)
    long.mkdir()
    (tmp_path / "first.py").write_text(
        "import os, pathlib\n"
        "from jupyter_core.utils import run_sync\n"
        "from workshop.runner import kernels\n"
        "kernels.begin_warming()\n"
        "with kernels.kernel(dict(os.environ), pathlib.Path.cwd(), pathlib.Path('kernel.log')) as manager:\n"
        "    client = manager.client()\n"
        "    client.start_channels()\n"
        "    run_sync(client.wait_for_ready)(timeout=60)\n"
        "    folder = pathlib.Path(manager.connection_file).parent\n"
        "    print(folder.parent, oct(folder.stat().st_mode & 0o777), os.environ['TMPDIR'])\n"
    )
    environment = os.environ | {"TMPDIR": str(long), "WORKSHOP_WARM_KERNELS": warm}
    done = subprocess.run(
        [sys.executable, "first.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["/tmp", "0o700", str(long)], done.stderr


def test_without_a_short_temporary_folder_tmpdir_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "a" * 90)
    with refusal("/aaa", "too long for the address of a socket", "set TMPDIR to a short path"):  # noqa: SIM117
        with room_for_sockets():
            raise PermissionError(13, "Permission denied", "/tmp/workshop-kernel-1")
    assert tempfile.tempdir == "/" + "a" * 90


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
        with interruption.delayed():
            for each in STOPPING:
                os.kill(os.getpid(), each)
            assert told == []
        assert sorted(told) == sorted(STOPPING)
        assert all(signal.getsignal(each) is not None for each in STOPPING)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
@pytest.mark.parametrize("warm", ["1", "0"])
def test_a_kernel_and_what_a_cell_has_started_end_with_a_runner_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: str
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    cell = "import os, subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
    cell += "open('processes', 'w').write(f'{os.getpid()} {child.pid}')\nchild.wait()"
    write_notebook(tmp_path / "n.ipynb", cell)
    os.mkfifo(tmp_path / "processes")
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], cwd=tmp_path)
    processes = [psutil.Process(int(number)) for number in (tmp_path / "processes").read_text().split()]
    runner.kill()
    runner.wait()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("module", "content", "printed"),
    [
        ("xgboost", "raise RuntimeError('libomp is missing')", "succeeded None"),
        ("mlflow", "import os; os._exit(3)", "succeeded None"),
        ("ipykernel", "raise RuntimeError('half installed')", "failed its kernel did not start (RuntimeError: half"),
    ],
)
@pytest.mark.parametrize("warm", ["1", pytest.param("0", marks=pytest.mark.thorough)])
def test_a_library_that_cannot_be_imported_stops_no_kernel_that_does_not_need_it(
    tmp_path: Path, warm: str, module: str, content: str, printed: str
) -> None:
    (tmp_path / "path" / module).mkdir(parents=True)
    (tmp_path / "path" / module / "__init__.py").write_text(content)
    write_notebook(tmp_path / "n.ipynb", "1")
    environment = os.environ | {"WORKSHOP_WARM_KERNELS": warm, "PYTHONPATH": str(tmp_path / "path")}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(printed)
    assert done.stderr == ""
    assert (tmp_path / "executed.kernel.log").exists() == (module == "ipykernel")


def test_a_python_that_is_missing_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", "0")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with (
        refusal(str(tmp_path / "python"), "No such file", "make setup"),
        kernels.kernel(dict(os.environ), tmp_path, tmp_path / "kernel.log"),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches no process by its number there")
@pytest.mark.parametrize("signum", STOPPING)
def test_a_kernel_that_does_not_come_to_its_end_is_killed_when_the_run_is_stopped(
    tmp_path: Path, signum: signal.Signals
) -> None:
    cell = "import atexit, os, threading\ndef wait():\n"
    cell += "    with open('ending', 'w') as file: file.write(str(os.getpid()))\n"
    cell += "    threading.Event().wait()\n_ = atexit.register(wait)"
    write_notebook(tmp_path / "n.ipynb", cell)
    os.mkfifo(tmp_path / "ending")
    environment = os.environ | {"WORKSHOP_WARM_KERNELS": "0"}
    stopped = "from workshop.runner import interruption\ninterruption.install()\n" + RUNNER
    runner = subprocess.Popen([sys.executable, "-c", stopped], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    kernel = psutil.Process(int((tmp_path / "ending").read_text()))
    runner.send_signal(signum)
    assert b"KeyboardInterrupt" in runner.communicate(timeout=60)[1]
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
