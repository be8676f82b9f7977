"""Output that can't be written: a command that moves slots ends with the exit code of what it has done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import latest_summary

pytestmark = pytest.mark.integration

WORKSHOP = [sys.executable, "-m", "workshop"]


def without_a_reader(*arguments: str) -> tuple[int, str]:
    """Run a command whose output goes to a pipe that nobody reads; return its exit code and standard error."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        done = subprocess.run([*WORKSHOP, *arguments], stdout=broken, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def test_a_run_whose_reader_has_left_is_carried_out(home: Path) -> None:
    assert without_a_reader("run", "--notebooks", "0") == (0, "")
    assert latest_summary(home)["exit_code"] == 0


@pytest.mark.parametrize(
    "arguments", [("promote", "1", "--reason", "tests"), ("rollback", "--to", "1")], ids=["promote", "rollback"]
)
def test_the_exit_code_is_that_of_what_was_done(arguments: tuple[str, ...], home: Path, delivered: Path) -> None:
    shutil.copytree(delivered, home)
    assert without_a_reader(*arguments) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_and_changes_no_exit_code(home: Path, delivered: Path) -> None:
    shutil.copytree(delivered, home)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*WORKSHOP, "promote", "1", "--reason", "tests"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr.count("The output is dropped from here on.") == 1
