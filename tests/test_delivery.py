"""The delivery loop from the outside, as a participant and a pipeline live through it."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from tests.commands import latest_summary, status, workshop
from workshop.core import store, tables
from workshop.core.settings import PACKAGE
from workshop.core.slots import Slot, open_slots

pytestmark = pytest.mark.integration

REPOSITORY = PACKAGE.parents[1]
MODEL = "wine_quality"
AS_ANYBODY_ELSE = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
"""Root may write anywhere, unless it does without that right."""


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after its first deployment: version 1 holds Production."""
    home = tmp_path_factory.mktemp("delivered") / "home"
    first = workshop("run", "--action", "deployment", WORKSHOP_HOME=str(home))
    assert first.code == 0, first.out + first.err
    assert "Version 1 is promoted" in first.out
    return home


@pytest.fixture
def home(home: Path, delivered: Path) -> Path:
    """This test's own copy of it."""
    shutil.copytree(delivered, home)
    return home


def production() -> str | None:
    return open_slots(store.connect(), MODEL).holder(Slot.PRODUCTION)


def files_below(folder: Path) -> dict[str, str]:
    """The digest of each file, but for what is appended to by design: MLflow's database and the lock files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".lock", ".db") and "locks" not in path.parts
    }


def checkout(folder: Path) -> Path:
    """The repository as it is now, committed in a new one elsewhere."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "-m", "a commit"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def copy_training_cell(notebooks: Path) -> None:
    """Part 4, as a person does it: one cell over the other."""
    source = nbformat.read(notebooks / "part_4_new_training_code.ipynb", as_version=4)
    target = nbformat.read(notebooks / "part_1_2_training.ipynb", as_version=4)
    (better,) = [cell for cell in source.cells if "training" in cell.metadata.get("tags", [])]
    (baseline,) = [cell for cell in target.cells if "training" in cell.metadata.get("tags", [])]
    baseline.source = better.source
    nbformat.write(target, notebooks / "part_1_2_training.ipynb")


def test_from_a_clone_to_a_better_model_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = checkout(tmp_path / "clone")
    monkeypatch.delenv("WORKSHOP_HOME")
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    monkeypatch.chdir(clone)
    home = clone / ".workshop"

    first = workshop("run", "--action", "deployment")
    assert first.code == 0, first.err
    assert "Version 1 is promoted: it is the first to hold Production." in first.out
    summary = latest_summary(home)
    assert summary["status"] == "promoted"
    assert summary["slots_before"]["production"] is None
    assert summary["slots_after"]["production"] == "1"
    assert summary["data_version"] == {"development": 0, "production": 0}
    assert len(summary["git_commit"]) == 40  # and not dirty: a run changes no file that git tracks
    assert [notebook["status"] for notebook in summary["notebooks"]] == ["succeeded"] * 3
    assert Path(summary["report"]).is_file()

    before = files_below(home)
    second = workshop("run", "--action", "deployment")
    assert second.code == 3
    assert "Version 2 is not better than version 1; Production is untouched." in second.out
    decision = latest_summary(home)["outcome"]["decision"]
    assert (decision["difference"], decision["standard_error"]) == (0, 0)  # same seed, data and code: the same model
    assert status()["slots"]["production"]["version"] == "1"
    after = files_below(home)
    assert {name: after.get(name) for name in before} == before

    copy_training_cell(clone / "src" / "workshop" / "notebooks")
    third = workshop("run", "--action", "deployment", "--scoring")
    assert third.code == 0, third.out
    assert "Version 3 is promoted to Production; version 1 is archived." in third.out
    found = status()
    assert found["slots"]["production"]["version"] == "3"
    assert found["slots"]["previous"]["version"] == "1"
    assert found["archived"] == ["1"]
    assert latest_summary(home)["git_commit"].endswith("-dirty")
    predictions = tables.Table("predictions", home / "data" / "predictions" / "no_name").read().frame
    assert (len(predictions), set(predictions["model_version"])) == (1064, {"3"})


def test_two_participants_at_once_do_not_touch_each_other_nor_production(home: Path) -> None:
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "workshop", "run", "--action", "integration", "--run-name", name],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("dev-ana", "dev-bob")
    }  # fmt: skip
    ended = {name: (process.communicate(timeout=200)[0], process.returncode) for name, process in started.items()}
    # The candidates are made as the champion was: neither is better.
    assert {name: code for name, (_, code) in ended.items()} == {"dev-ana": 3, "dev-bob": 3}, ended
    assert production() == "1"
    for name in started:
        assert tables.Table(name, home / "data" / "prepared" / name).open().version() == 0
        (run,) = [folder for folder in (home / "runs").iterdir() if folder.name.endswith(name)]
        assert {path.name for path in run.iterdir()} == {
            "part_1_1_data_prep.ipynb",
            "part_1_2_training.ipynb",
            "part_1_3_evaluating.ipynb",
            "report.html",
            "summary.json",
        }
    versions = store.connect().search_model_versions(f"name = '{MODEL}'")
    assert sorted(version.tags["workshop.run_name"] for version in versions) == ["dev-ana", "dev-bob", "no_name"]


def test_a_hostile_run_name_is_made_safe(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beside = sorted(path.name for path in tmp_path.iterdir())
    name = "../../x $(touch pwned); `touch pwned` ünïcode " + 300 * "a"
    assert workshop("run", "--notebooks", "1_1", "--run-name", name).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == beside
    run_name = latest_summary(home)["run_name"]
    assert run_name.startswith("x-touch-pwned-touch-pwned-unicode-aaa")
    assert (home / "data" / "prepared" / run_name).is_dir()


def test_production_wines_of_one_kind_only_are_refused_and_production_stays(home: Path) -> None:
    table = tables.production_table()
    table.write(table.read().frame.assign(quality=5), {})
    refused = workshop("run", "--action", "deployment")
    assert refused.code == 1
    assert (
        "Of the 1064 wines to compare on, 0 are of high quality" in refused.last_words or "Of the 1064" in refused.out
    )
    assert "Traceback" not in refused.out + refused.err
    assert production() == "1"


def test_development_wines_with_a_renamed_column_end_the_run_in_one_sentence(home: Path) -> None:
    table = tables.development_table()
    wines = table.read().frame
    shutil.rmtree(table.path)
    table.write(wines.rename(columns={"alcohol": "alc"}), {})
    refused = workshop("run")
    assert refused.code == 1
    said = "part_1_1_data_prep, cell 5: The table development does not fit its schema: the column alcohol is missing;"
    assert said in refused.out
    assert "Traceback" not in refused.out + refused.err
    assert production() == "1"


def test_a_candidate_that_somebody_deleted_is_missed_by_name(home: Path) -> None:
    assert workshop("run", "--notebooks", "1_1,1_2", "--run-name", "dev-ana").code == 0
    store.connect().delete_model_version(MODEL, "2")
    refused = workshop("run", "--notebooks", "1_3", "--run-name", "dev-ana")
    assert refused.code == 1
    assert "The run name dev-ana has no candidate of wine_quality" in refused.out
    assert production() == "1"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_production_and_no_process_and_the_next_run_works(
    signum: signal.Signals, home: Path
) -> None:
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
    assert workshop("run", "--notebooks", "1_2,1_3", "--action", "deployment").code == 3


def test_ctrl_c_on_the_terminal_while_a_run_is_still_importing_is_no_traceback(home: Path) -> None:
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
    _, alive = psutil.wait_procs(warming, timeout=20)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_run_that_is_killed_leaves_no_process_and_production_as_it_was(home: Path) -> None:
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
def test_a_folder_that_may_not_be_written_to_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    monkeypatch.setenv("WORKSHOP_HOME", str(locked / "home"))
    refused = subprocess.run(
        [*AS_ANYBODY_ELSE, sys.executable, "-m", "workshop", "run"], capture_output=True, text=True, check=False
    )
    code, said = refused.returncode, refused.stderr
    assert code == 1
    assert "no permission: choose a folder that you may write to with WORKSHOP_HOME=" in said
    assert "Traceback" not in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with next to no space."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_one_sentence_and_with_space_the_same_home_works(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", str(small_disk / "home"))
    refused = workshop("run", "--action", "deployment")
    assert refused.code == 1
    assert "disk" in (refused.out + refused.err)
    assert "Traceback" not in refused.out + refused.err
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert workshop("run", "--action", "deployment").code == 0
    assert production() == "1"
