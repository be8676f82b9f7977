"""`workshop databricks local`: a participant starts a workspace, looks at it with the doctor, and ends it."""

import json
import os
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.commands import workshop


@pytest.mark.integration
def test_a_participant_starts_a_workspace_and_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workshop", "databricks", "local", "--folder", str(tmp_path / "workspace")]
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
    answer = workshop("databricks", "local", "--folder", str(tmp_path / "file"))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"✗ Could not write to {tmp_path / 'file'} (File exists): choose another folder.\n"


LOCAL = [sys.executable, "-m", "workshop", "databricks", "local"]
SIGNED_IN = """
import json, sys
from databricks.sdk import WorkspaceClient
client = WorkspaceClient()
client.workspace.mkdirs("/Shared/" + sys.argv[1])
folders = sorted(each.path for each in client.workspace.list("/Shared"))
print(json.dumps([client.config.host, client.current_user.me().display_name, folders]))
sys.exit(3)
"""


@pytest.mark.integration
def test_a_command_is_signed_in_as_the_service_principal_and_its_folder_is_kept(tmp_path: Path) -> None:
    """The variables of another sign-in would contradict the token."""
    elsewhere = {"DATABRICKS_CLIENT_ID": "5a9e", "ARM_CLIENT_SECRET": "x", "DATABRICKS_CONFIG_PROFILE": "y"}
    for name, expected in (("ana", ["/Shared/ana"]), ("bob", ["/Shared/ana", "/Shared/bob"])):
        done = subprocess.run(
            [*LOCAL, "--folder", str(tmp_path), "--", sys.executable, "-c", SIGNED_IN, name],
            capture_output=True, text=True, check=False, env={**os.environ, **elsewhere},
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        host, principal, folders = json.loads(done.stdout)
        assert (principal, [each for each in folders if each != "/Shared/workshop"]) == ("workshop-cd", expected)
        with pytest.raises(OSError, match="refused"):
            urlopen(host)


@pytest.mark.integration
def test_ctrl_c_ends_the_command_and_the_workspace() -> None:
    """The command still reaches the workspace, to cancel its run there."""
    cleans_up = (
        "import os, sys, urllib.request as r\n"
        "address = os.environ['DATABRICKS_HOST'] + '/.well-known/databricks-config'\n"
        "try:\n print(address, flush=True); sys.stdin.read()\n"
        "except KeyboardInterrupt:\n print(r.urlopen(address).status, flush=True); sys.exit(7)\n"
    )
    with subprocess.Popen(
        [*LOCAL, "--", sys.executable, "-c", cleans_up],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "200\n"
        assert process.wait(30) == 7
    with pytest.raises(OSError, match="refused"):
        urlopen(address)


def test_a_command_that_is_not_found(tmp_path: Path) -> None:
    answer = workshop("databricks", "local", "--", "wrokshop", "run")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("✗ The command wrokshop is not found: correct it, or activate the environment")
