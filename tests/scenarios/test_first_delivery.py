"""Deliveries in a clone, and on a full disk."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clones import checkout
from tests.support.commands import latest_summary, workshop, workshop_here
from workshop.core.data.delta_folder import DeltaFolder

pytestmark = pytest.mark.integration


def files_below(folder: Path) -> dict[str, str]:
    """Return the digest of each file, except of those that change by design: MLflow's database and lock files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".lock", ".db") and "locks" not in path.parts
    }


@pytest.mark.thorough
def test_a_delivery_in_a_clone_changes_no_existing_file(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = checkout(tmp_path / "clone")
    monkeypatch.delenv("WORKSHOP_HOME")
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    monkeypatch.chdir(clone)
    home = clone / ".workshop"  # the default
    shutil.copytree(delivered, home)
    # The store contains the original paths of the first version's artifacts.
    places = (home, delivered / "artifacts")

    before = [files_below(place) for place in places]
    run = workshop("run", "--action", "deployment", "--scoring")
    assert run.code == 3, run.err
    assert "Version 2 is not better than version 1 on production wines; Production is untouched." in run.out
    summary = latest_summary(home)
    assert summary["status"] == "not better"
    assert summary["slots_before"]["production"] == summary["slots_after"]["production"] == "1"
    assert summary["data_version"] == {"development": 0, "production": 0}
    assert len(summary["git_commit"]) == 40  # not dirty: a run changes no tracked file
    assert [notebook["status"] for notebook in summary["notebooks"]] == ["succeeded"] * 4
    assert Path(summary["report"]).is_file()
    decision = summary["outcome"]["decision"]
    assert (decision["difference"], decision["standard_error"]) == (0, 0)  # same seed, data and code: the same model
    predictions = DeltaFolder("predictions", home / "data" / "predictions" / "no_name").read().frame
    assert (len(predictions), set(predictions["model_version"])) == (1064, {"1"})

    for place, was in zip(places, before, strict=True):
        # MLflow writes the name by which a model was loaded last to this file.
        kept = {name: digest for name, digest in was.items() if not name.endswith("registered_model_meta")}
        after = files_below(place)
        assert kept and {name: after.get(name) for name in kept} == kept


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.thorough  # test_evaluate_act fills one before a swap
def test_a_full_disk_is_one_sentence_and_the_home_works_again_with_space(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", str(small_disk / "home"))
    refused = workshop("run", "--action", "deployment")
    assert refused.code == 1
    assert "disk" in (refused.out + refused.err)
    assert "Traceback" not in refused.out + refused.err
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert workshop_here("run", "--notebooks", "1_1").code == 0
