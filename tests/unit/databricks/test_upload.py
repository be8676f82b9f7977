import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from workshop.core.errors import WorkshopError
from workshop.core.settings import PACKAGE
from workshop.databricks import upload
from workshop.databricks.settings import DatabricksSettings


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another checkout, with one commit and no remote."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x")
    monkeypatch.setattr(upload, "_CHECKOUT", tmp_path)
    return tmp_path


def test_the_code_is_that_of_the_commit_with_a_version_of_its_own(commit: str, tmp_path: Path) -> None:
    made = upload.of_commit(commit, tmp_path)
    assert made.wheel.name == f"workshop-{version('workshop')}+g{commit[:12]}-py3-none-any.whl"
    with zipfile.ZipFile(made.wheel) as wheel:
        names = wheel.namelist()
        packed = wheel.read("workshop/core/promotion/gate.py").decode()
    assert packed == (PACKAGE / "core" / "promotion" / "gate.py").read_text(encoding="utf-8")
    assert "workshop/originals/winequality-red.csv" in names
    assert set(made.notebooks) == {path.stem for path in (PACKAGE / "notebooks").glob("*.ipynb")}
    assert b"hand_over" in made.notebooks["part_1_3_evaluating"]
    pins = dict(pin.split("==") for pin in made.pins)
    for package in ("mlflow", "scikit-learn", "deltalake", "pandera", "skops"):
        assert pins[package] == version(package)
    assert "pytest" not in pins


@pytest.mark.parametrize(
    ("commit", "advice"),
    [
        ("c0ffee" * 6 + "c0ff-dirty", "commit them"),
        ("unknown", "clone the repository"),
        ("main", "clone the repository"),
    ],
)
def test_code_that_is_not_a_commit_is_refused(commit: str, advice: str) -> None:
    with pytest.raises(WorkshopError, match=advice):
        upload.require_clean(commit)


def test_only_a_pushed_commit_can_be_fetched(elsewhere: Path) -> None:
    commit = git(elsewhere, "rev-parse", "HEAD")
    with pytest.raises(WorkshopError, match=r"push it \(`git push`\), or set WORKSHOP_DATABRICKS_CODE=upload"):
        upload.require_pushed(commit, "https://example.com/repo")
    remote = elsewhere / "remote.git"
    git(elsewhere, "init", "-q", "--bare", str(remote))
    git(elsewhere, "remote", "add", "origin", str(remote))
    git(elsewhere, "push", "-q", "origin", "HEAD:main")
    upload.require_pushed(commit, "https://example.com/repo")


def test_a_commit_that_does_not_exist_is_one_sentence(elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match="Git can't export the commit"):
        upload.of_commit("0" * 40, tmp_path)


def test_the_folder_is_named_after_the_commit_and_the_run() -> None:
    place = upload.place_of(DatabricksSettings(folder="/Workspace/Shared/team/"), "c0ffee", "0123456789abcdef")
    assert place == "/Workspace/Shared/team/code/c0ffee-0123456789ab"
