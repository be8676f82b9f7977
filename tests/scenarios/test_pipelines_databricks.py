"""The pipelines with `target: databricks`: sign-in, settings of the run, cancellation."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from azure_devops_local.check import VARIABLES
from azure_devops_local.language.documents import FOLDER
from azure_devops_local.language.pipeline import Job, Step
from azure_devops_local.language.reading import read_pipeline
from tests.support.pipeline_files import Fake
from workshop.core.settings import PACKAGE
from workshop.databricks.settings import PREFIX, DatabricksSettings

ROOT = PACKAGE.parents[1]
RUN = "Run the notebooks"
OUTSIDE_THE_RUN = 25
"""Minutes of a job for the steps before and after its run on Databricks; they take ten."""


def job(pipeline: str, **settings: str) -> Job:
    """Return the job of a pipeline on its own branch, with these values in variables.yml."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / FOLDER).rglob("*.yml")}
    for name, value in settings.items():
        texts[VARIABLES], count = re.subn(
            rf"(- name: {name}\n    value: ).*", rf"\g<1>{value or repr('')}", texts[VARIABLES]
        )
        assert count == 1, name
    branch = "refs/heads/main" if pipeline == "cd.yml" else "refs/heads/integration"
    read = read_pipeline(Fake(texts), f"{FOLDER}/{pipeline}", {}, {"Build.SourceBranch": branch})
    (only,) = (each for stage in read.stages for each in stage.jobs)
    return only


def named(steps: tuple[Step, ...], name: str) -> Step:
    (found,) = (step for step in steps if step.display_name == name)
    return found


SIGNED_IN = {
    "federation": {"DATABRICKS_AUTH_TYPE": "azure-cli"},
    "oidc": {
        "DATABRICKS_AUTH_TYPE": "azure-devops-oidc",
        "DATABRICKS_CLIENT_ID": "5a9e",
        "SYSTEM_ACCESSTOKEN": "$(System.AccessToken)",
    },
    "secret": {"DATABRICKS_AUTH_TYPE": "azure-client-secret", "ARM_CLIENT_SECRET": "$(ARM_CLIENT_SECRET)"},
}


@pytest.mark.parametrize("sign_in", SIGNED_IN)
def test_each_step_on_databricks_is_signed_in(sign_in: str) -> None:
    steps = job("cd.yml", target="databricks", signIn=sign_in, servicePrincipal="5a9e", variableGroup="a-group").steps
    on_databricks = [step for step in steps if "DATABRICKS_HOST" in step.env]

    assert [(step.display_name, step.condition) for step in on_databricks] == [
        ("See that the workspace has what a run needs", "succeeded()"),
        (RUN, "succeeded()"),
        ("End the run on Databricks", "canceled()"),
    ]
    for step in on_databricks:
        assert SIGNED_IN[sign_in].items() <= step.env.items()
        assert (step.task == "AzureCLI@2") == (sign_in == "federation")
        others = {name for way in SIGNED_IN.values() for name in way} - set(SIGNED_IN[sign_in])
        assert not others & set(step.env)


def test_the_run_gets_the_values_of_variables_yml() -> None:
    settings = {
        "databricksHome": "/Volumes/main/wine/workshop",
        "databricksCompute": "cluster",
        "databricksCluster": "0101-x",
        "databricksTables": "main.wine",
        "databricksGitUrl": "https://dev.azure.com/our-company/wine/_git/wine",
    }
    run = named(job("ci.yml", target="databricks", registry="https://mlflow.example.com", **settings).steps, RUN)
    passed = {name: value for name, value in run.env.items() if name.startswith("WORKSHOP_")}
    assert passed == {
        "WORKSHOP_DATABRICKS_HOME": "/Volumes/main/wine/workshop",
        "WORKSHOP_DATABRICKS_COMPUTE": "cluster",
        "WORKSHOP_DATABRICKS_CLUSTER_ID": "0101-x",
        "WORKSHOP_DATABRICKS_CODE": "git",
        "WORKSHOP_DATABRICKS_GIT_URL": "https://dev.azure.com/our-company/wine/_git/wine",
        "WORKSHOP_TABLES": "main.wine",
    }
    known = {f"{PREFIX}{name.upper()}" for name in DatabricksSettings.model_fields} | {"WORKSHOP_TABLES"}
    assert set(passed) <= known
    assert "MLFLOW_TRACKING_URI" not in run.env


@pytest.mark.parametrize("pipeline", ["ci.yml", "cd.yml"])
def test_a_local_run_has_no_settings_of_databricks(pipeline: str) -> None:
    steps = job(pipeline, registry="https://mlflow.example.com").steps
    assert named(steps, RUN).env["MLFLOW_TRACKING_URI"] == "https://mlflow.example.com"
    assert not [name for step in steps for name in step.env if "DATABRICKS" in name]
    assert not [step for step in steps if "doctor" in step.script or step.condition == "canceled()"]


@pytest.mark.parametrize("pipeline", ["ci.yml", "cd.yml"])
def test_the_time_out_of_a_job_exceeds_that_of_its_run(pipeline: str) -> None:
    within = job(pipeline, target="databricks").timeout_minutes
    assert within >= DatabricksSettings.model_fields["timeout_minutes"].default + OUTSIDE_THE_RUN


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_script_waits_for_the_run_and_announces_it(tmp_path: Path, signum: signal.Signals) -> None:
    """The agent signals bash only, and a second time if it does not end."""
    stand_in = tmp_path / "workshop"
    stand_in.write_text(
        "#!/bin/bash\n"
        'if [ "$1" = azure ]; then echo "announced: $*"; exit 1; fi\n'
        "trap 'echo signaled; read -r -t 5 < waits; echo ended; exit 1' TERM\n"
        "trap 'echo disturbed' INT\n"
        "echo runs\n"
        "while true; do read -r -t 0.1 < waits; done\n"
    )
    stand_in.chmod(0o755)
    os.mkfifo(tmp_path / "waits")
    fifo = os.open(tmp_path / "waits", os.O_RDWR)
    script = named(job("cd.yml", target="databricks", signIn="oidc").steps, RUN).script
    values = {
        "TARGET": "databricks",
        "ACTION": "deployment",
        "MODEL_NAME": "m",
        "PUBLISHED": "p",
        "NOT_BETTER": "error",
    }
    more = {"COMPARE_ONLY": "False", "SCORING": "True", "BUILD_SOURCEBRANCH": "refs/heads/main"}
    environment = {**os.environ, **values, **more, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", script],
        stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True,
    ) as bash:  # fmt: skip
        assert bash.stdout is not None
        assert bash.stdout.readline() == "runs\n"
        bash.send_signal(signum)
        assert bash.stdout.readline() == "signaled\n"
        bash.send_signal(signal.SIGTERM)
        os.write(fifo, b"now\n")
        assert bash.stdout.read() == "ended\nannounced: azure announce p --not-better error\n"
        assert bash.wait(timeout=30) == 1
    os.close(fifo)
