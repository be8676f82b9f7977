"""A cancelled pipeline ends its run on Databricks: the script of deliver.yml itself, against a workspace."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from databricks_local.mlflow_server import mlflow_server
from databricks_local.workspace import running
from tests.scenarios.test_pipelines_databricks import RUN, job, named
from tests.support.databricks_runs import FIRST, environment_of, left_in, summaries

pytestmark = [pytest.mark.integration, pytest.mark.thorough]


def test_the_run_is_cancelled_and_its_report_published(tmp_path: Path, commit: str, home: Path) -> None:
    script = named(job("cd.yml", target="databricks", signIn="oidc").steps, RUN).script
    of_the_step = {
        "TARGET": "databricks",
        "ACTION": "deployment",
        "MODEL_NAME": "wine_quality",
        "COMPARE_ONLY": "False",
        "SCORING": "False",
        "NOT_BETTER": "warning",
        "PUBLISHED": str(tmp_path / "published"),
        "BUILD_SOURCEBRANCH": "refs/heads/main",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with (
        mlflow_server(tmp_path / "mlflow", hands_out_artifacts=False) as uri,
        running(tmp_path / "workspace", uri) as workspace,
    ):
        workspace.hold(FIRST)
        environment = {**os.environ, **environment_of(workspace, commit), **of_the_step}
        with subprocess.Popen(
            ["bash", "-c", script], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as bash:
            assert bash.stdout is not None
            for line in bash.stdout:
                if line.startswith("Waiting for compute."):
                    break
            bash.send_signal(signal.SIGINT)
            printed = bash.stdout.read()
            assert bash.wait(timeout=60) == 1
        (made,) = workspace.runs.values()
        assert made.result_state == "CANCELED"
        assert left_in(workspace) == []
    assert "the run on Databricks was cancelled" in printed
    assert "##vso[task.logissue type=error;]Stopped, and the run on Databricks was cancelled" in printed
    assert summaries(home)[0]["status"] == "interrupted"
    assert (tmp_path / "published" / "summary.json").is_file()
