"""The first delivery in a place of one's own: from a clone to a better model, and on a disk without space."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.commands import latest_summary, status, workshop
from workshop.core import tables
from workshop.core.settings import PACKAGE

pytestmark = pytest.mark.integration

REPOSITORY = PACKAGE.parents[1]


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
    # MLflow notes in that one, beside the model, by which name it was loaded last.
    kept = {name: digest for name, digest in before.items() if not name.endswith("registered_model_meta")}
    assert {name: after.get(name) for name in kept} == kept

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
    assert workshop("run", "--notebooks", "1_1").code == 0
