"""The exercise of Part 2: a pipeline that submits a notebook is green until it waits for the result and looks at it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.scenarios.test_pipelines_databricks import job, named
from workshop.core.settings import PACKAGE

pytestmark = pytest.mark.integration
MEND = """\
if run.result().state.result_state.value != "SUCCESS":
    raise SystemExit("The notebook failed: its page shows why.")
END
"""


def submit(script: str, workspace: Workspace) -> "subprocess.CompletedProcess[str]":
    """Run the pipeline's script, signed in to the workspace."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    signed_in = {"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": workspace.token}
    return subprocess.run(
        ["bash", "-c", script], cwd=PACKAGE.parents[1], capture_output=True, text=True, check=False,
        env={**os.environ, **signed_in, "PATH": path, "PLACE": "/Shared/workshop/submitted-1"},
    )  # fmt: skip


def test_a_pipeline_that_does_not_wait_is_green_while_its_notebook_fails(workspace: Workspace) -> None:
    script = named(job("part_2_submit.yml").steps, "Submit the notebook").script
    done = submit(script, workspace)
    assert done.returncode == 0, done.stderr
    (number,) = re.findall(r"^Run (\d+) is submitted\.$", done.stdout, re.MULTILINE)
    ended = workspace.wait_for(int(number))
    assert (ended.ended, ended.described()["state"]["result_state"]) == (True, "FAILED")


def test_the_mended_pipeline_is_red(workspace: Workspace) -> None:
    script = named(job("part_2_submit.yml").steps, "Submit the notebook").script
    done = submit(script.replace("END\n", MEND), workspace)
    assert done.returncode == 1
    assert done.stderr.endswith("The notebook failed: its page shows why.\n")
