import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic import ValidationError

from tests.support.models import refusal
from workshop.core.settings import current_settings, is_mounted

REPOSITORY = Path(__file__).parents[3]


def test_the_home_is_in_the_repository_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "")  # so a pipeline passes a variable without a value
    assert current_settings().home == REPOSITORY / ".workshop"
    monkeypatch.delenv("WORKSHOP_HOME")
    assert current_settings().home == REPOSITORY / ".workshop"


def test_data_and_runs_are_in_the_home_of_the_environment(home: Path) -> None:
    assert current_settings().home == home
    assert current_settings().data == home / "data"
    assert current_settings().runs == home / "runs"


def test_a_home_may_be_relative_to_the_working_folder_or_the_users_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user_home: Path
) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "~/kit")
    assert current_settings().home == user_home / "kit"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKSHOP_HOME", "here")
    settings = current_settings()
    monkeypatch.chdir(tmp_path.parent)
    assert settings.home == tmp_path / "here"


def test_settings_are_read_from_the_present_environment_and_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_settings()
    monkeypatch.setenv("WORKSHOP_RUN_ID", "20260101-me")
    monkeypatch.setenv("WORKSHOP_SLOTS", "stage")
    assert (before.run_id, before.slots) == ("", "alias")
    assert (current_settings().run_id, current_settings().slots) == ("20260101-me", "stage")
    with pytest.raises(ValidationError):
        before.run_id = "other"  # type: ignore[misc]


def test_a_lock_file_is_in_a_folder_that_exists(home: Path) -> None:
    lock = current_settings().lock_file("datasets")
    assert lock.is_relative_to(home)
    lock.touch()


@pytest.mark.parametrize("mount", ["/Volumes/main/wines/kit", "/dbfs/kit"])
def test_locks_of_a_mounted_home_are_on_this_machine(monkeypatch: pytest.MonkeyPatch, mount: str) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", mount)
    lock = current_settings().lock_file("datasets")
    monkeypatch.setenv("WORKSHOP_HOME", f"{mount}2")
    other = current_settings().lock_file("datasets")
    assert lock.parent.parent == other.parent.parent == Path(tempfile.gettempdir())
    assert lock != other
    with FileLock(lock, timeout=0), FileLock(other, timeout=0):
        pass
    for each in (lock, other):
        shutil.rmtree(each.parent)


@pytest.mark.parametrize(
    ("path", "mounted"), [("/Volumes", True), ("/Volumes/a/b/c", True), ("/dbfs/x", True), ("/VolumesOfMine/a", False)]
)
def test_mounted_storage_is_recognized_by_its_path(path: str, mounted: bool) -> None:
    assert is_mounted(Path(path)) == mounted


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("HOME", "~no-such-user/kit", "not found"),
        ("SLOTS", "drawer", "'alias' or 'stage'"),
        ("SPARK_ROWS", "many", "integer"),
        *[("TABLES", place, "main.wines") for place in ("main", "main.wines.production", "main.", "`main`.wines")],
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str) -> None:
    monkeypatch.setenv(f"WORKSHOP_{name}", value)
    with refusal(f"WORKSHOP_{name}", value, advice):
        current_settings()


def test_a_file_in_the_place_of_the_home_is_explained(home: Path) -> None:
    home.write_text("not a folder")
    with refusal(str(home), "WORKSHOP_HOME="):
        current_settings().lock_file("datasets")
