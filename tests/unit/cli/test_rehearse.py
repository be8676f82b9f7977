"""`workshop rehearse` on a page of a few commands."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import workshop_here
from tests.support.team import Clone
from workshop.cli import rehearse

PAGE = "# Part 0\n\n```console\n$ echo AUC 0.844; COMMAND\nAUC 0.844\n```\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with Parts 0 and 1, as that of the command; temporary folders are in `tmp`."""
    clone = Clone(tmp_path / "kit", {"docs/part_0.md": PAGE.replace("COMMAND", "true"), "docs/part_1.md": "# Part 1\n"})
    monkeypatch.setattr(rehearse, "PACKAGE", clone.path / "src" / "workshop")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    before = signal.getsignal(signal.SIGHUP)
    yield clone.path
    signal.signal(signal.SIGHUP, before)


def write(checkout: Path, text: str) -> None:
    (checkout / "docs" / "part_0.md").write_text(text, encoding="utf-8")


def test_it_counts_what_it_has_done_and_leaves_nothing(checkout: Path, tmp_path: Path) -> None:
    done = workshop_here("rehearse", "--compare")
    assert (done.code, done.err) == (0, "")
    assert "part_0: 1 blocks\n  line 4: `echo AUC 0.844; true` (0." in done.out
    assert "2 of 2 pages, 1 blocks, 1 commands, 0 edits, 0 figures checked, " in done.out
    assert done.out.endswith(" s: no problem.\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_pages_may_have_uncommitted_changes(checkout: Path) -> None:
    write(checkout, PAGE.replace("COMMAND", "false"))
    failed = workshop_here("rehearse")
    assert failed.code == 1
    assert failed.err == "✗ docs/part_0.md, line 4: `echo AUC 0.844; false` ended with 1:\n    AUC 0.844\n"
    assert "0 of 2 pages, 0 blocks, " in failed.out and failed.out.endswith(" s: 1 problems.\n")


def test_other_output_fails_only_if_it_is_compared_and_can_be_written(checkout: Path) -> None:
    write(checkout, PAGE.replace("COMMAND", "echo 1"))
    assert workshop_here("rehearse").code == 0
    assert "line 6: `echo AUC 0.844; echo 1` does not print" in workshop_here("rehearse", "--compare").err
    assert workshop_here("rehearse", "--rewrite").code == 0
    written = (checkout / "docs" / "part_0.md").read_text(encoding="utf-8")
    assert written == PAGE.replace("COMMAND", "echo 1").replace("\nAUC 0.844\n", "\nAUC 0.844\n1\n")
    assert workshop_here("rehearse", "--compare").code == 0


def test_the_folder_is_kept_on_request(checkout: Path, tmp_path: Path) -> None:
    write(checkout, PAGE.replace("COMMAND", "touch left"))
    done = workshop_here("rehearse", "0", "--keep")
    (kept,) = (tmp_path / "tmp").iterdir()
    assert f"The participant's folder is {kept}.\n" in done.out
    assert "1 of 1 pages" in done.out
    assert (kept / "home" / "left").is_file()


def test_a_part_without_a_page_is_a_wrong_argument(checkout: Path) -> None:
    missing = workshop_here("rehearse", "7")
    assert missing.code == 2
    assert "The page of that part is not found" in missing.err and "part_0, part_1." in missing.err


def test_a_malformed_page_is_named(checkout: Path, tmp_path: Path) -> None:
    write(checkout, "# Part 0\n```console\n")
    assert workshop_here("rehearse").last_words == "✗ docs/part_0.md, line 2: the block is not closed."
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_ends_it_and_leaves_nothing(checkout: Path, tmp_path: Path, name: str) -> None:
    write(checkout, PAGE.replace("COMMAND", f"bash -c 'kill -{name} {os.getpid()}; sleep 600'"))
    stopped = workshop_here("rehearse")
    assert (stopped.code, stopped.err) == (1, "Stopped.\n")
    assert list((tmp_path / "tmp").iterdir()) == []
