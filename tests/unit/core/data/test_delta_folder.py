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
    """A table that is not written yet."""
    return DeltaFolder("cellar", home / "data" / "cellar")


def test_rows_are_read_in_the_order_of_writing_and_without_the_kit(table: DeltaFolder) -> None:
    assert not table.exists()
    table.write(ROWS.set_index(pd.Index([7, 8, 9])), {})
    assert table.exists()
    pd.testing.assert_frame_equal(table.read().frame, ROWS, check_dtype=False)
    assert DeltaTable(str(table.path)).to_pyarrow_table().num_rows == 3


def test_each_write_is_a_version_with_its_source(table: DeltaFolder) -> None:
    table.write(ROWS, {"source": "vineyard@4"})
    table.write(ROWS.iloc[:1], {})
    now, before = table.read(), table.read(0)
    assert (now.label, len(now.frame), now.source) == ("cellar@1", 1, "")
    assert (table.newest_version(), len(table.head(5))) == (1, 1)
    assert (before.label, len(before.frame), before.source) == ("cellar@0", 3, "vineyard@4")


def test_a_version_is_found_by_its_metadata(table: DeltaFolder) -> None:
    for run_id in ("ann", "ben", "ann", "cid"):
        table.write(ROWS, {"run_id": run_id, "source": "vineyard@0"})
    assert table.version_of(run_id="ann") == 2
    assert table.version_of(run_id="ann", source="vineyard@0") == 2
    assert table.version_of(run_id="dan") is None
    assert table.version_of(run_id="ann", source="vineyard@1") is None
    assert table.metadata_with("run_id") == {"run_id": "cid", "source": "vineyard@0"}


def test_a_table_of_another_program_has_no_metadata(table: DeltaFolder) -> None:
    write_deltalake(str(table.path), ROWS)
    assert table.metadata_with("seed") == {}
    assert table.read().source == ""
    assert table.version_of(run_id="ann") is None


@pytest.mark.parametrize("folder", ["a cellar", "Weinkeller für Müller", "100%"])
def test_a_folder_may_have_spaces_umlauts_and_percent_signs(home: Path, folder: str) -> None:
    table = DeltaFolder("cellar", home / folder / "cellar")
    table.write(ROWS, {})
    assert len(table.read().frame) == 3
    assert (table.path / "_delta_log").is_dir()


def test_a_missing_table_or_version_is_refused(table: DeltaFolder) -> None:
    with refusal("cellar", "write it first"):
        table.read()
    table.write(ROWS, {})
    with refusal("cellar", "7"):
        table.read(7)


def test_a_missing_table_is_refused_with_those_that_are_there(home: Path) -> None:
    for name in ("production", "prepared/dev-ana"):
        DeltaFolder(name, home / "data" / name).write(ROWS, {})
    for name, advice in (
        ("producton", "write it first, or choose production."),
        ("prepared/dev-anna", "write it first, or choose prepared/dev-ana."),
        ("cellar", "write it first, or choose prepared/dev-ana or production."),
    ):
        with refusal(f"The table {name} is missing: {advice}"):
            DeltaFolder(name, home / "data" / name).read()


def test_rows_with_other_columns_are_refused_and_the_table_stays(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    with refusal("cellar"):
        table.write(ROWS.assign(price=9.5), {})
    assert table.read().label == "cellar@0"
    table.write(ROWS.assign(price=9.5), {}, new_columns=True)
    assert [list(table.read(version).frame) for version in (0, 1)] == [list(ROWS), [*ROWS, "price"]]


def test_a_file_where_a_folder_is_needed_is_explained(home: Path, table: DeltaFolder) -> None:
    home.mkdir()
    (home / "data").write_text("not a folder")
    with refusal(str(home / "data")):
        table.write(ROWS, {})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ["free some space"]),
        (
            OSError("Generic LocalFileSystem error\n  Unable to rename file\n  Operation not permitted (os error 1)"),
            ["cellar", "has no hard links", "set WORKSHOP_HOME"],
        ),
    ],
    ids=["full disk", "no hard links"],
)
def test_a_refusal_of_the_file_system_is_explained(
    table: DeltaFolder, monkeypatch: pytest.MonkeyPatch, error: OSError, words: list[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(delta_folder, "write_deltalake", refuse)
    with refusal(*words):
        table.write(ROWS, {})


@pytest.mark.parametrize("damaged", ["*.parquet", "_delta_log/*.json"])
def test_damaged_rows_or_records_are_explained(table: DeltaFolder, damaged: str) -> None:
    table.write(ROWS, {})
    (file,) = table.path.glob(damaged)
    file.write_bytes(b"neither parquet nor JSON")
    with refusal("cellar"):
        table.read()


def test_missing_rows_are_explained(table: DeltaFolder) -> None:
    table.write(ROWS, {})
    (file,) = table.path.glob("*.parquet")
    file.unlink()
    with refusal("cellar"):
        table.read()


@pytest.mark.parametrize(
    "protocol",
    [
        {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]},
        {"readerFeatures": ["of2030"], "writerFeatures": ["of2030"]},
        {"minReaderVersion": 99, "minWriterVersion": 99},
    ],
    ids=["deletion vectors", "a future feature", "a future version"],
)
def test_a_table_with_features_of_another_writer_is_not_called_damaged(
    table: DeltaFolder, protocol: dict[str, Any]
) -> None:
    table.write(ROWS, {})
    record = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **protocol}}
    (table.path / "_delta_log" / f"{1:020d}.json").write_text(json.dumps(record), encoding="utf-8")
    with refusal("cellar", "Delta features", "turn them off") as caught:
        table.read()
    assert "restore" not in str(caught.value)


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


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("mounted", [True, False])
def test_a_table_on_mounted_storage_is_committed_without_a_hard_link(tmp_path: Path, mounted: bool) -> None:
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
