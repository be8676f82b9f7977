"""Signals to the client of a run on Databricks, and a killed client."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import FIRST, left_in, looks, run, submissions, summaries, when

pytestmark = pytest.mark.integration


def started(workspace: Workspace, **environment: str) -> "subprocess.Popen[str]":
    """Return a client in a process of its own, once its run waits for its compute."""
    workspace.hold(FIRST)
    client = subprocess.Popen(
        [sys.executable, "-m", "workshop", "run", "--target", "databricks"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    assert client.stdout is not None
    for line in client.stdout:
        if "Waiting for compute." in line:
            return client
    pytest.fail(f"it did not start: {client.communicate()[1]}")


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_a_signal_to_the_client_cancels_the_run(workspace: Workspace, signum: signal.Signals, home: Path) -> None:
    client = started(workspace)
    client.send_signal(signum)
    out, _ = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "Stopped, and the run on Databricks was cancelled" in out
    (made,) = workspace.runs.values()
    assert (made.life_cycle_state, made.result_state) == ("TERMINATED", "CANCELED")
    assert summaries(home)[0]["status"] == "interrupted"
    assert left_in(workspace) == []


@pytest.mark.thorough  # test_attempts simulates the kill
def test_a_killed_clients_retry_follows_the_first_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    for name, value in {"BUILD_BUILDID": "17", "SYSTEM_JOBNAME": "deliver"}.items():
        monkeypatch.setenv(name, value)
    client = started(workspace)
    client.kill()
    client.communicate(timeout=60)
    (first,) = workspace.active_runs()
    workspace.outcomes[FIRST] = "FAILED"
    seen = looks(workspace)
    with when(lambda: looks(workspace) > seen + 2, workspace.release, FIRST):
        again = run()
    assert "This run was started before: no second one is started." in again.out
    assert (submissions(workspace), list(workspace.runs)) == (2, [first.run_id])
    assert left_in(workspace) == []
