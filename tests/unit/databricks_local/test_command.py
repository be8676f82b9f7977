"""`workshop databricks local`: a participant starts a workspace, looks at it with the doctor, and ends it."""

import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support.commands import workshop


@pytest.mark.integration
def test_a_participant_starts_a_workspace_and_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workshop", "databricks", "local", str(tmp_path / "workspace")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = takewhile(lambda line: not line.startswith("#"), process.stdout)
            exported = dict(line.split()[1].split("=", 1) for line in lines)
            exported["WORKSHOP_GIT_COMMIT"] = "0" * 40  # a developer's uncommitted changes are not the question here
            command = ["doctor", "--target", "databricks", "--model", "main.workshop.wine_quality"]
            answer = workshop(*command, **exported)
            assert answer.code == 0, answer.out + answer.err
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert (tmp_path / "workspace" / "root" / "Workspace" / "Shared" / "workshop").is_dir()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = workshop("databricks", "local", str(tmp_path / "file"))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"✗ Could not write to {tmp_path / 'file'} (File exists): choose another folder.\n"
