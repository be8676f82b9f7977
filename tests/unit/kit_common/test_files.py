from pathlib import Path

import pytest

from kit_common.files import write_whole


def test_the_new_text_replaces_the_old_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for text in ("old", "new: ä"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_can_not_be_encoded_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \udcff")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, "new \udcff", errors="replace")
    assert path.read_text(encoding="utf-8") == "new ?"
