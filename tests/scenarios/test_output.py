"""Commands whose output can't be written: the exit code is that of the work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import latest_summary

pytestmark = pytest.mark.integration

WORKSHOP = [sys.executable, "-m", "workshop"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--notebooks", "0"),
        ("promote", "1", "--reason", "tests"),
        pytest.param(("rollback", "--to", "1"), marks=pytest.mark.thorough),
    ],
    ids=["run", "promote", "rollback"],
)
def test_a_closed_pipe_changes_no_exit_code(arguments: tuple[str, ...], home: Path, delivered: Path) -> None:
    if arguments[0] != "run":
        shutil.copytree(delivered, home)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        done = subprocess.run([*WORKSHOP, *arguments], stdout=broken, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert arguments[0] != "run" or latest_summary(home)["exit_code"] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_and_changes_no_exit_code(home: Path, delivered: Path) -> None:
    shutil.copytree(delivered, home)
    command = [*WORKSHOP, "promote", "1", "--reason", "tests"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("The output is dropped from here on.") == 1
