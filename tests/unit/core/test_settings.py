import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic import ValidationError

from tests.support.models import refusal
from workshop.core.settings import current_settings, is_mounted

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("how", ["unset", "empty"])
def test_the_home_is_in_the_repository_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # A pipeline passes a variable that nobody has set as an empty one.
    if how == "unset":
        monkeypatch.delenv("WORKSHOP_HOME")
    else:
        monkeypatch.setenv("WORKSHOP_HOME", "")
    assert current_settings().home == REPOSITORY / ".workshop"


def test_the_home_of_the_environment_wins(home: Path) -> None:
    assert current_settings().home == home
    assert current_settings().data == home / "data"
    assert current_settings().runs == home / "runs"


def test_a_relative_home_is_relative_to_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKSHOP_HOME", "here")
    settings = current_settings()
    monkeypatch.chdir(tmp_path.parent)
    assert settings.home == tmp_path / "here"


def test_a_tilde_is_the_persons_home(monkeypatch: pytest.MonkeyPatch, user_home: Path) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "~/kit")
    assert current_settings().home == user_home / "kit"


def test_a_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", "~nobody-of-that-name/kit")
    with refusal("WORKSHOP_HOME", "~nobody-of-that-name/kit"):
        current_settings()


def test_an_unknown_kind_of_slot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", "drawer")
    with refusal("WORKSHOP_SLOTS", "'drawer'", "'alias' or 'stage'"):
        current_settings()


def test_settings_follow_the_environment_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_settings()
    monkeypatch.setenv("WORKSHOP_RUN_ID", "20260101-me")
    monkeypatch.setenv("WORKSHOP_SLOTS", "stage")
    assert (before.run_id, before.slots) == ("", "alias")
    assert (current_settings().run_id, current_settings().slots) == ("20260101-me", "stage")


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        current_settings().run_id = "other"  # type: ignore[misc]


def test_a_lock_file_is_in_a_folder_that_exists(home: Path) -> None:
    lock = current_settings().lock_file("datasets")
    assert lock.is_relative_to(home)
    lock.touch()


@pytest.mark.parametrize("mount", ["/Volumes/main/wines/kit", "/dbfs/kit"])
def test_locks_are_this_machines_where_the_home_is_mounted(monkeypatch: pytest.MonkeyPatch, mount: str) -> None:
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
def test_what_is_mounted_is_known_by_its_path(path: str, mounted: bool) -> None:
    assert is_mounted(Path(path)) == mounted


@pytest.mark.parametrize("place", ["main", "main.wines.production", "main.", "ma in.wines", "`main`.wines"])
def test_a_place_for_tables_that_is_no_catalog_and_schema_is_refused(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("WORKSHOP_TABLES", place)
    with refusal("WORKSHOP_TABLES", place, "main.wines"):
        current_settings()


def test_a_number_of_rows_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_settings().spark_rows is None
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "many")
    with refusal("WORKSHOP_SPARK_ROWS", "many"):
        current_settings()


def test_a_file_where_the_home_should_be_is_explained(home: Path) -> None:
    home.write_text("not a folder")
    with refusal(str(home), "WORKSHOP_HOME="):
        current_settings().lock_file("datasets")
