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


def test_the_wheel_is_the_commits_package_with_a_version_of_its_own(commit: str, tmp_path: Path) -> None:
    made = upload.of_commit(commit, tmp_path)
    assert made.wheel.name == f"workshop-{version('workshop')}+g{commit[:12]}-py3-none-any.whl"
    with zipfile.ZipFile(made.wheel) as wheel:
        names = wheel.namelist()
        packed = wheel.read("workshop/core/promotion/gate.py").decode()
    assert packed == (PACKAGE / "core" / "promotion" / "gate.py").read_text(encoding="utf-8")
    assert "workshop/originals/winequality-red.csv" in names


def test_the_notebooks_are_the_commits(commit: str, tmp_path: Path) -> None:
    notebooks = upload.of_commit(commit, tmp_path).notebooks
    assert set(notebooks) == {path.stem for path in (PACKAGE / "notebooks").glob("*.ipynb")}
    assert b"hand_over" in notebooks["part_1_3_evaluating"]


def test_what_the_notebooks_import_is_pinned_as_it_was_tested(commit: str, tmp_path: Path) -> None:
    pins = dict(pin.split("==") for pin in upload.of_commit(commit, tmp_path).pins)
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
def test_what_is_no_commit_is_refused(commit: str, advice: str) -> None:
    with pytest.raises(WorkshopError, match=advice):
        upload.require_clean(commit)


def test_a_commit_that_was_not_pushed_is_refused(elsewhere: Path) -> None:
    with pytest.raises(WorkshopError, match=r"push it \(`git push`\), or set WORKSHOP_DATABRICKS_CODE=upload"):
        upload.require_pushed(git(elsewhere, "rev-parse", "HEAD"), "https://example.com/repo")


def test_a_commit_that_was_pushed_is_not(elsewhere: Path) -> None:
    remote = elsewhere / "remote.git"
    git(elsewhere, "init", "-q", "--bare", str(remote))
    git(elsewhere, "remote", "add", "origin", str(remote))
    git(elsewhere, "push", "-q", "origin", "HEAD:main")
    upload.require_pushed(git(elsewhere, "rev-parse", "HEAD"), "https://example.com/repo")


def test_a_commit_that_is_not_there_is_one_sentence(elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match="Git can't give the commit that is to run"):
        upload.of_commit("0" * 40, tmp_path)


def test_the_folder_is_named_after_the_commit_and_the_run() -> None:
    place = upload.place_of(DatabricksSettings(folder="/Workspace/Shared/team/"), "c0ffee", "0123456789abcdef")
    assert place == "/Workspace/Shared/team/code/c0ffee-0123456789ab"
