"""Whole runs as processes: in parallel, with wrong data, interrupted, killed, without permission."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.commands import latest_summary, workshop, workshop_here
from workshop.core.data import tables
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, open_slots

pytestmark = [pytest.mark.integration, pytest.mark.long]

MODEL = "wine_quality"
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
"""Takes away the right of root to write anywhere."""


@pytest.fixture
def home(home: Path, delivered: Path) -> Path:
    """A copy of the delivered home."""
    shutil.copytree(delivered, home)
    return home


def production() -> str | None:
    return open_slots(mlflow_store.connect(), MODEL).holder(Slot.PRODUCTION)


@pytest.mark.thorough
def test_two_runs_at_once_leave_each_other_and_production_alone(home: Path) -> None:
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "workshop", "run", "--action", "integration", "--run-name", name],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("dev-ana", "dev-bob")
    }  # fmt: skip
    ended = {name: (process.communicate(timeout=200)[0], process.returncode) for name, process in started.items()}
    # The candidates are trained like the champion: neither is better.
    assert {name: code for name, (_, code) in ended.items()} == {"dev-ana": 3, "dev-bob": 3}, ended
    assert production() == "1"
    for name in started:
        assert DeltaFolder(name, home / "data" / "prepared" / name).open().version() == 0
        (run,) = [folder for folder in (home / "runs").iterdir() if folder.name.endswith(name)]
        assert {path.name for path in run.iterdir()} == {
            "part_1_1_data_prep.ipynb",
            "part_1_2_training.ipynb",
            "part_1_3_evaluating.ipynb",
            "report.html",
            "summary.json",
        }
    versions = mlflow_store.connect().search_model_versions(f"name = '{MODEL}'")
    assert sorted(version.tags["workshop.run_name"] for version in versions) == ["dev-ana", "dev-bob", "no_name"]


def test_a_renamed_column_ends_the_run_in_one_sentence(home: Path) -> None:
    table = tables.development_table()
    wines = table.read().frame
    shutil.rmtree(home / "data" / table.name)
    table.write(wines.rename(columns={"alcohol": "alc"}), {})
    refused = workshop_here("run")
    assert refused.code == 1
    sentence = (
        "part_1_1_data_prep, cell 4: The table development does not fit its schema: the column alcohol is missing"
    )
    assert sentence in refused.out
    assert "Traceback" not in refused.out + refused.err
    assert production() == "1"


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGINT, marks=pytest.mark.thorough), signal.SIGTERM])
def test_a_stopped_run_leaves_production_alone_and_no_process(signum: signal.Signals, home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "workshop", "run", "--action", "deployment"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("part_1_2_training:"):
            break
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Stopped in part_1_2_training" in out
    assert "Traceback" not in out + err
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert [notebook["status"] for notebook in latest_summary(home)["notebooks"]] == [
        "succeeded",
        "interrupted",
        "not run",
    ]
    assert production() == "1"
    if signum == signal.SIGINT:  # `make thorough` has the time
        assert workshop("run", "--notebooks", "1_2,1_3", "--action", "deployment").code == 3


def test_ctrl_c_during_the_imports_of_a_run_prints_no_traceback(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "workshop", "run"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    warming: list[psutil.Process] = []
    while not warming and process.poll() is None:
        warming = [each for each in psutil.Process(process.pid).children() if "forkserver" in " ".join(each.cmdline())]
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in out + err
    assert "Stopped" in err
    _, alive = psutil.wait_procs(warming, timeout=20)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.thorough  # similar to a stopped run
def test_a_killed_run_leaves_production_alone_and_no_process(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "workshop", "run", "--action", "deployment"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("part_1_2_training:"):
            break
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=20)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert production() == "1"


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    monkeypatch.setenv("WORKSHOP_HOME", str(locked / "home"))
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", "0")  # no kernel is started
    refused = subprocess.run(
        [*WITHOUT_PRIVILEGE, sys.executable, "-m", "workshop", "run"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "no permission: choose a folder that you may write to with WORKSHOP_HOME=" in refused.stderr
    assert "Traceback" not in refused.stderr
