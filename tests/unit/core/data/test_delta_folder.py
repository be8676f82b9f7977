import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.support.models import refusal
from workshop.core import settings
from workshop.core.data import delta_folder
from workshop.core.data.delta_folder import DeltaFolder

ROWS = pd.DataFrame({"wine_id": [3, 1, 2], "name": ["Tinto", "Verde", "Rosé"]})


@pytest.fixture
def table(home: Path) -> DeltaFolder:
    """A table that nobody has written yet."""
    return DeltaFolder("cellar", home / "data" / "cellar")


def test_what_is_written_is_read_in_the_same_order(table: DeltaFolder) -> None:
    table.write(ROWS.set_index(pd.Index([7, 8, 9])), {})
    pd.testing.assert_frame_equal(table.read().frame, ROWS, check_dtype=False)


def test_a_table_exists_from_the_first_write_on(table: DeltaFolder) -> None:
    assert not table.exists()
    table.write(ROWS, {})
    assert table.exists()


def test_writing_again_makes_a_version_and_keeps_the_one_before(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    table.write(ROWS.iloc[:1], {})
    now, before = table.read(), table.read(0)
    assert (now.label, len(now.frame)) == ("cellar@1", 1)
    assert (before.label, len(before.frame)) == ("cellar@0", 3)


def test_each_version_says_what_it_was_made_from(table: DeltaFolder) -> None:
    table.write(ROWS, {"source": "vineyard@4"})
    table.write(ROWS, {"source": "vineyard@5"})
    table.write(ROWS, {})
    assert [table.read(version).source for version in (0, 1, 2)] == ["vineyard@4", "vineyard@5", ""]


def test_a_version_is_found_by_what_was_metadata_with(table: DeltaFolder) -> None:
    for run_id in ("ann", "ben", "ann", "cid"):
        table.write(ROWS, {"run_id": run_id, "source": "vineyard@0"})
    assert table.version_of(run_id="ann") == 2
    assert table.version_of(run_id="ann", source="vineyard@0") == 2
    assert table.version_of(run_id="dan") is None
    assert table.version_of(run_id="ann", source="vineyard@1") is None


def test_the_newest_word_on_a_matter_counts(table: DeltaFolder) -> None:
    table.write(ROWS, {"seed": "42"})
    table.write(ROWS, {"seed": "43"})
    assert table.metadata_with("seed") == {"seed": "43"}


def test_a_table_that_somebody_else_wrote_has_nothing_metadata_with(table: DeltaFolder) -> None:
    write_deltalake(str(table.path), ROWS)
    assert table.metadata_with("seed") == {}
    assert table.read().source == ""
    assert table.version_of(run_id="ann") is None


@pytest.mark.parametrize("folder", ["a cellar", "Weinkeller für Müller", "100%"])
def test_a_table_can_be_in_a_folder_with_spaces_and_umlauts(home: Path, folder: str) -> None:
    table = DeltaFolder("cellar", home / folder / "cellar")
    table.write(ROWS, {})
    assert len(table.read().frame) == 3
    assert (table.path / "_delta_log").is_dir()


def test_a_table_that_is_not_there_is_refused(table: DeltaFolder) -> None:
    with refusal("cellar", "write it first"):
        table.read()


def test_a_version_that_is_not_there_is_refused(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    with refusal("cellar", "7"):
        table.read(7)


def test_rows_of_another_shape_are_refused_and_the_table_stays(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    with refusal("cellar"):
        table.write(ROWS.assign(price=9.5), {})
    assert table.read().label == "cellar@0"


def test_a_file_where_a_folder_is_needed_is_explained(home: Path, table: DeltaFolder) -> None:
    home.mkdir()
    (home / "data").write_text("not a folder")
    with refusal(str(home / "data")):
        table.write(ROWS, {})


def test_a_full_disk_is_explained(table: DeltaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(delta_folder, "write_deltalake", full)
    with refusal("free some space"):
        table.write(ROWS, {})


def test_a_file_system_without_hard_links_is_explained(table: DeltaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("Generic LocalFileSystem error\n  Unable to rename file\n  Operation not permitted (os error 1)")

    monkeypatch.setattr(delta_folder, "write_deltalake", refused)
    with refusal(str(table.path), "has no hard links", "set WORKSHOP_HOME"):
        table.write(ROWS, {})


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_damaged_rows_are_explained(table: DeltaFolder, damage: str) -> None:
    table.write(ROWS, {})
    (file,) = table.path.glob("*.parquet")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"this is not parquet")
    with refusal("cellar"):
        table.read()


def test_a_damaged_record_is_explained(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    (log,) = (table.path / "_delta_log").glob("*.json")
    log.write_text("this is not json")
    with refusal("cellar"):
        table.read()


@pytest.mark.parametrize(
    "protocol",
    [
        {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]},
        {"readerFeatures": ["of2030"], "writerFeatures": ["of2030"]},
        {"minReaderVersion": 99, "minWriterVersion": 99},
    ],
    ids=["deletion vectors", "a feature to come", "a version to come"],
)
def test_a_table_with_features_of_another_writer_is_not_called_damaged(
    table: DeltaFolder, protocol: dict[str, Any]
) -> None:
    table.write(ROWS, {})
    said = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **protocol}}
    (table.path / "_delta_log" / f"{1:020d}.json").write_text(json.dumps(said), encoding="utf-8")
    with refusal("cellar", "Delta features", "turn them off") as caught:
        table.read()
    assert "restore" not in str(caught.value)


def test_others_can_read_the_table_without_the_kit(table: DeltaFolder) -> None:
    table.write(ROWS, {"seed": "42"})
    assert DeltaTable(str(table.path)).to_pyarrow_table().num_rows == 3


# Mounted cloud storage


def test_a_table_on_mounted_storage_is_written_and_read(table: DeltaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert table.storage_options is None
    monkeypatch.setattr(settings, "MOUNTS", (table.path.parents[1],))
    assert table.storage_options == {"allow_unsafe_rename": "true"}
    assert not table.exists()
    for run_id in ("ann", "ben"):
        table.write(ROWS, {"run_id": run_id})
    assert table.version_of(run_id="ann") == 0
    pd.testing.assert_frame_equal(table.read(1).frame, ROWS, check_dtype=False)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="strace shows it, and isn't here")
@pytest.mark.parametrize("mounted", [True, False])
def test_mounted_storage_is_never_asked_for_a_hard_link(tmp_path: Path, mounted: bool) -> None:
    # It has none: there the library fails unless it is told to rename.
    code = f"""
from pathlib import Path
import pandas as pd
from workshop.core import settings
from workshop.core.data.delta_folder import DeltaFolder
settings.MOUNTS = (Path({str(tmp_path)!r}),) if {mounted} else ()
DeltaFolder("cellar", Path({str(tmp_path)!r}) / "cellar").write(pd.DataFrame({{"wine_id": [1]}}), {{}})
"""
    traced = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=link,linkat", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("00000000000000000000.json" in traced.stderr) != mounted
    assert (tmp_path / "cellar" / "_delta_log" / "00000000000000000000.json").is_file()
