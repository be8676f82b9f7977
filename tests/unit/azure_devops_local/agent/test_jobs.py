"""Jobs: approvals, folders, the environment of steps, and time-outs."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from azure_devops_local import run_store
from azure_devops_local.agent import agent, variables
from azure_devops_local.agent.jobs import Service
from tests.support import laptop
from tests.support.laptop import approve, reject, results, run
from workshop.core.settings import current_settings

CLOCK = time.monotonic


DEPLOYMENT = """
jobs:
- deployment: D
  environment: production
  strategy: {runOnce: {deploy: {steps: [{bash: 'true', displayName: deploy}]}}}
- job: after
  dependsOn: D
  steps: [{checkout: none}, {bash: 'true', displayName: later}]
"""


def test_a_deployment_waits_for_an_approval(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def ask(waiting: run_store.Run, job: run_store.Job) -> str | None:
        seen.append((run_store.Runs().load(waiting.number).state, job.environment))
        return "Ben"

    done = run(tmp_path, DEPLOYMENT, ask)
    assert seen == [("waiting for approval", "production")]
    assert done.stages[0].jobs[0].approved_by == "Ben"
    assert done.result == "succeeded"


def test_a_stage_asks_once_for_each_environment_before_its_first_job(tmp_path: Path) -> None:
    seen: list[tuple[str, list[str | None]]] = []

    def ask(waiting: run_store.Run, job: run_store.Job) -> str | None:
        seen.append((job.environment, [other.result for other in waiting.stages[-1].jobs]))
        return "Ben" if job.environment == "test" else None

    deploy = "strategy: {runOnce: {deploy: {steps: [{bash: 'true'}]}}}"
    done = run(
        tmp_path,
        f"""
        stages:
        - stage: Build
          jobs:
          - job: A
            steps:
            - checkout: none
            - {{bash: 'echo "##vso[task.setvariable variable=v;isoutput=true]test"', name: s}}
        - stage: Deploy
          variables: {{place: "$[stageDependencies.Build.A.outputs['s.v']]"}}
          jobs:
          - {{job: B, steps: [{{checkout: none}}, {{bash: 'true'}}]}}
          - {{deployment: C, environment: $(place), {deploy}}}
          - {{deployment: D, environment: Test, {deploy}}}
          - {{deployment: E, environment: production, {deploy}}}
        """,
        ask,
    )
    assert seen == [("test", [None] * 4), ("production", [None] * 4)]
    assert [job.result for job in done.stages[1].jobs] == ["skipped", "skipped", "skipped", "failed"]
    assert [stage.result for stage in done.stages] == ["succeeded", "failed"]


def test_after_a_rejection_no_step_runs(tmp_path: Path) -> None:
    done = run(tmp_path, DEPLOYMENT)
    found = results(done)
    assert (found["D"], found["deploy"], found["after"], found["later"]) == ("failed", "skipped", "skipped", "skipped")
    assert "not approved" in done.stages[0].jobs[0].issues[0].text
    assert not (run_store.Runs().folder_of(done.number) / "logs").exists()


def test_a_secret_of_a_group_reaches_a_step_only_by_env_and_no_log(tmp_path: Path) -> None:
    folder = current_settings().home / "devops"
    folder.mkdir(parents=True)
    (folder / variables.GROUPS_FILE).write_text("team: {key: {value: s3cret, secret: true}}\n", encoding="utf-8")
    done = run(
        tmp_path,
        """
        variables: [{group: team}]
        steps:
        - checkout: none
        - {bash: 'echo "${KEY-none} $GIVEN ${#GIVEN} ${SYSTEM_ACCESSTOKEN-none}"', displayName: show,
           env: {GIVEN: $(key)}}
        - {bash: 'true', displayName: 'named $(key)'}
        """,
    )
    assert laptop.log_of(done, "show") == "none *** 6 none\n"
    assert "named ***" in laptop.steps_of(done)
    everything = run_store.Runs().folder_of(done.number).rglob("*")
    assert not any("s3cret" in path.read_text(encoding="utf-8") for path in everything if path.is_file())


@pytest.mark.parametrize("name", ["x$(touch${IFS}pwned)`touch pwned`;a", "x$(System.AccessToken)"])
def test_untrusted_names_are_only_data(tmp_path: Path, name: str) -> None:
    text = """
        variables:
          branch: $(Build.SourceBranch)
        steps:
        - bash: printf '%s\\n' "${BRANCH-not in the environment}"
          displayName: show
        """
    folder = laptop.repository(tmp_path / "repository", text)
    done = agent.execute(laptop.queued(folder, name), folder, reject)  # the record may hold any name
    shown = "not in the environment" if "AccessToken" in name else f"refs/heads/{name}"
    assert laptop.log_of(done, "show") == f"{shown}\n"


def test_steps_get_the_address_and_the_token_of_the_service(tmp_path: Path) -> None:
    folder = laptop.repository(
        tmp_path / "repository",
        """
        steps:
        - bash: echo "$SYSTEM_COLLECTIONURI $T ${#T}"
          displayName: show
          env: {T: $(System.AccessToken)}
        """,
    )
    done = agent.execute(laptop.queued(folder), folder, reject, service=Service("http://127.0.0.1:1/", "t0ken"))
    assert laptop.log_of(done, "show") == "http://127.0.0.1:1/ *** 5\n"


def test_the_environment_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "GIT_PREFIX", "PYTEST_ADDOPTS", "MAKEFLAGS"):
        monkeypatch.setenv(name, "agent's")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    done = run(
        tmp_path,
        """
        variables: {my.own: 1, WORKSHOP_HOME: /elsewhere}
        steps:
        - {checkout: none}
        - {bash: "env -0 | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().split(chr(0))))'",
           displayName: show}
        """.replace("python3", sys.executable),
    )
    found = dict(pair.split("=", 1) for pair in json.loads(laptop.log_of(done, "show")) if pair)
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "GIT_PREFIX", "PYTEST_ADDOPTS", "MAKEFLAGS"} & found.keys()
    assert str(Path(sys.executable).parent) not in found["PATH"].split(os.pathsep)
    assert (found["MY_OWN"], found["WORKSHOP_HOME"], found["TF_BUILD"]) == ("1", "/elsewhere", "True")
    assert found["AZURE_DEVOPS_LOCAL_RUN"] == str(done.number)
    assert found["BUILD_SOURCESDIRECTORY"].endswith(f"runs/{done.number}/work/s")


def test_every_job_begins_in_an_empty_folder_and_a_deployment_finds_the_artifacts(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        jobs:
        - job: A
          steps: [{checkout: none}, {bash: 'touch left; echo x > kept'}, {publish: kept, artifact: drop}]
        - deployment: D
          dependsOn: A
          environment: production
          strategy: {runOnce: {deploy: {steps: [{bash: 'ls; cat ../drop/kept', displayName: look}]}}}
        """,
        approve,
    )
    assert laptop.log_of(done, "look") == "x\n"


def test_time_outs_of_a_step_and_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"ahead": 0.0}
    monkeypatch.setattr("azure_devops_local.agent.jobs.time.monotonic", lambda: CLOCK() + clock["ahead"])
    folder = laptop.repository(
        tmp_path / "repository",
        """
        jobs:
        - job: A
          steps:
          - {checkout: none}
          - {bash: 'echo; read -t 60 < <(sleep 60)', displayName: step, timeoutInMinutes: 1}
          - {bash: 'true', displayName: after, condition: always()}
        - job: B
          timeoutInMinutes: 5
          steps:
          - {checkout: none}
          - {bash: 'echo; read -t 60 < <(sleep 60)', displayName: job}
          - {bash: 'true', displayName: left out}
          - {bash: 'true', displayName: rest, condition: always()}
        """,
    )

    def advance(running: run_store.Run) -> None:
        begun = {name for name, step in laptop.steps_of(running).items() if step.started}
        clock["ahead"] = 362.0 if "job" in begun else 61.0 if "step" in begun else 0.0

    done = agent.execute(laptop.queued(folder), folder, reject, advance)
    found = results(done)
    assert (found["step"], found["after"], found["A"]) == ("failed", "succeeded", "failed")
    assert (found["job"], found["left out"], found["rest"]) == ("canceled", "skipped", "succeeded")
    assert (found["B"], found["run"]) == ("canceled", "canceled")
    assert "longer than" in laptop.steps_of(done)["step"].issues[0].text
