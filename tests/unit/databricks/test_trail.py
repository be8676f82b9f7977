from pathlib import Path

import pytest

from workshop.core.errors import WorkshopError
from workshop.databricks import trail
from workshop.databricks.trail import Trail

FRESH = Trail(
    host="https://x.azuredatabricks.net",
    submission_id="c0de",
    pid=17,
    pipelines_run="",
    token="c0ffee",
    place="/Workspace/Shared/workshop/code/x",
    makes_jobs=False,
)


@pytest.fixture
def folder(home: Path) -> Path:
    """A run's."""
    folder = home / "runs" / "20261125T120000Z-main"
    folder.mkdir(parents=True)
    return folder


def test_a_trail_stays_until_it_has_gone_cold(folder: Path) -> None:
    with trail.left_by(folder, FRESH):
        pass
    assert trail.folders() == [folder]
    with trail.taken_up(folder) as found:
        assert found == FRESH
        trail.gone_cold(folder)
    assert trail.folders() == []


def test_the_trail_of_a_process_that_lives_is_its_own(folder: Path) -> None:
    with trail.left_by(folder, FRESH), trail.taken_up(folder) as found:
        assert found is None


def test_a_damaged_trail_is_one_sentence(folder: Path) -> None:
    (folder / "on-databricks.json").write_text("{", encoding="utf-8")
    with pytest.raises(WorkshopError, match="is damaged"), trail.taken_up(folder):
        pytest.fail("it can't be read")
