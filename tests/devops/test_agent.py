"""The agent: what runs after what, whether it runs, how it ends, and that nothing outlives it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.devops import laptop
from workshop.core.settings import current_settings
from workshop.devops import agent, conditions, record, undefined, variables
from workshop.devops.conditions import Done

CLOCK = time.monotonic
NOT_KNOWN_HERE = ("Build.RequestedForEmail", "Build.SourceVersionAuthor", "System.PullRequest.")


def approve(_run: record.Run, _job: record.Job) -> str | None:
    return "Ben"


def run(tmp_path: Path, text: str, approver: agent.Approver = laptop.reject, **parameters: str) -> record.Run:
    return laptop.execute(laptop.repository(tmp_path / "repository", text), approver, **parameters)


def results(done: record.Run) -> dict[str, str | None]:
    """The results of stages, jobs and steps by name."""
    found: dict[str, str | None] = {"run": done.result}
    for stage in done.stages:
        found[stage.name] = stage.result
        found |= {job.name: job.result for job in stage.jobs}
        found |= {step.name: step.result for job in stage.jobs for step in job.steps}
    return found


def test_steps_run_unless_one_before_failed_or_their_condition_says_otherwise(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        steps:
        - checkout: none
        - {bash: 'exit 1', displayName: forgiven, continueOnError: true}
        - {bash: 'true', displayName: after issues}
        - {bash: 'true', displayName: not on this branch, condition: "eq(variables['Build.SourceBranchName'], 'x')"}
        - {bash: 'exit 2', displayName: fails}
        - {bash: 'true', displayName: by default}
        - {bash: 'echo "$AGENT_JOBSTATUS"', displayName: whatever, condition: always()}
        - {bash: 'true', displayName: rescue, condition: failed()}
        - {bash: 'true', displayName: either, condition: succeededOrFailed()}
        - {bash: 'true', displayName: disabled, enabled: false, condition: always()}
        """,
    )
    found = results(done)
    assert {name: found[name] for name in list(found)[3:]} == {
        "forgiven": "succeeded with issues",
        "after issues": "succeeded",
        "not on this branch": "skipped",
        "fails": "failed",
        "by default": "skipped",
        "whatever": "succeeded",
        "rescue": "succeeded",
        "either": "succeeded",
        "disabled": "skipped",
    }
    assert (found["run"], done.stages[0].result, done.stages[0].jobs[0].result) == ("failed", "failed", "failed")
    assert laptop.log_of(done, "whatever") == "Failed\n"
    assert not laptop.steps_of(done)["by default"].log


def test_jobs_and_stages_run_in_the_order_of_their_dependencies(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        stages:
        - stage: last
          dependsOn: [Bad, good]
          condition: always()
          jobs: [{job: L, steps: [{checkout: none}, {bash: date +%s%N, displayName: at last}]}]
        - stage: bad
          dependsOn: []
          jobs:
          - {job: second, dependsOn: First, steps: [{checkout: none}, {bash: date +%s%N, displayName: at second}]}
          - {job: first, steps: [{checkout: none}, {bash: 'date +%s%N; exit 1', displayName: at first}]}
          - {job: third, dependsOn: first, condition: failed(), steps: [{checkout: none}, {bash: 'true'}]}
          - {job: fourth, dependsOn: third, steps: [{checkout: none}, {bash: 'true'}]}
        - stage: good
          dependsOn: []
          jobs: [{job: G, steps: [{checkout: none}, {bash: date +%s%N, displayName: at good}]}]
        - stage: after
          dependsOn: bad
          jobs: [{job: A, steps: [{checkout: none}, {bash: 'true', displayName: never}]}]
        - stage: named
          dependsOn: [bad, good]
          condition: and(failed('bad'), succeeded('good'), eq(dependencies.bad.result, 'Failed'))
          jobs: [{job: N, steps: [{checkout: none}, {bash: 'true', displayName: reached}]}]
        """,
    )
    found = results(done)
    expected = {
        "run": "failed",
        "bad": "failed",
        "good": "succeeded",
        "last": "succeeded",
        "after": "skipped",
        "A": "skipped",
        "never": "skipped",
        "second": "skipped",
        "third": "succeeded",
        "fourth": "skipped",
        "named": "succeeded",
    }
    assert expected.items() <= found.items()
    times = [int(laptop.log_of(done, f"at {name}").split()[0]) for name in ("first", "good", "last")]
    assert times == sorted(times)


def test_a_job_whose_failure_is_forgiven(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        jobs:
        - {job: A, continueOnError: true, steps: [{checkout: none}, {bash: exit 1}]}
        - {job: B, dependsOn: A, steps: [{checkout: none}, {bash: 'true'}]}
        """,
    )
    assert (results(done)["A"], results(done)["B"], done.result) == (
        "succeeded with issues",
        "succeeded",
        "succeeded with issues",
    )


@pytest.mark.parametrize(
    ("result", "succeeded", "failed", "either", "canceled"),
    [
        ("succeeded", True, False, True, False),
        ("succeeded with issues", True, False, True, False),
        ("failed", False, True, True, False),
        ("skipped", False, False, True, False),
        ("canceled", False, False, False, True),
    ],
)
def test_what_a_condition_can_ask(
    result: record.Result, succeeded: bool, failed: bool, either: bool, canceled: bool
) -> None:
    ask = conditions.functions({"a": Done("a", result), "b": Done("b", "succeeded")})
    assert ask["always"]()
    assert ask["succeeded"]() is ask["succeeded"]("A") is succeeded
    assert ask["failed"]() is ask["failed"]("a") is failed
    assert ask["succeededorfailed"]() is either
    assert ask["succeededorfailed"]("a") is (result not in {"skipped", "canceled"})
    assert ask["canceled"]() is canceled
    assert ask["succeeded"]("b")
    assert not ask["succeeded"]("nobody")


def test_outputs_reach_later_jobs_and_stages(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        variables:
          whole: $(part)!
          part: p
        stages:
        - stage: S
          jobs:
          - job: A
            steps:
            - checkout: none
            - bash: echo '##vso[task.setvariable variable=v;isOutput=true]$(whole'')'
              name: set
          - job: B
            dependsOn: A
            condition: ne(dependencies.A.outputs['set.v'], '')
            variables:
              got: $[ dependencies.A.outputs['set.v'] ]
              none: $[ dependencies.A.outputs['set.x'] ]
              part: nearer
            steps:
            - checkout: none
            - bash: echo '$(got)|$(whole)|'"$NONE|$GOT"
              displayName: show B
        - stage: T
          condition: ne(dependencies.S.outputs['A.set.v'], '')
          variables:
            got: $[ stageDependencies.S.A.outputs['set.v'] ]
          jobs:
          - deployment: D
            environment: production
            strategy:
              runOnce:
                deploy:
                  steps:
                  - bash: echo '$(got)|$(Environment.Name)'; echo '##vso[task.setvariable variable=v;isOutput=true]d'
                    name: out
                    displayName: show D
          - job: E
            dependsOn: D
            variables:
              got: $[ dependencies.D.outputs['D.out.v'] ]
            steps: [{checkout: none}, {bash: echo '$(got)', displayName: show E}]
        """,
        approve,
    )
    assert done.result == "succeeded"
    assert laptop.log_of(done, "show B") == "$(whole)|nearer!||$(whole)\n"
    assert laptop.log_of(done, "show D").splitlines()[0] == "$(whole)|production"
    assert laptop.log_of(done, "show E") == "d\n"


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

    def ask(waiting: record.Run, job: record.Job) -> str | None:
        seen.append((record.Runs().load(waiting.number).state, job.environment))
        return "Ben"

    done = run(tmp_path, DEPLOYMENT, ask)
    assert seen == [("waiting for approval", "production")]
    assert done.stages[0].jobs[0].approved_by == "Ben"
    assert done.result == "succeeded"


def test_after_a_rejection_nothing_runs(tmp_path: Path) -> None:
    done = run(tmp_path, DEPLOYMENT)
    found = results(done)
    assert (found["D"], found["deploy"], found["after"], found["later"]) == ("failed", "skipped", "skipped", "skipped")
    assert "not approved" in done.stages[0].jobs[0].issues[0].text
    assert not (record.Runs().folder_of(done.number) / "logs").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps: [{bash: x, unknwon: y}]", "line 1: `unknwon`"),
        ("steps: [{task: DotNetCoreCLI@2}]", "DotNetCoreCLI@2"),
        ("steps: [", "not YAML"),
        ("variables: [{group: team}]\nsteps: [{bash: 'true'}]", "variable group team is not there: write"),
    ],
)
def test_what_can_not_be_run_is_refused_before_the_first_step(tmp_path: Path, text: str, problem: str) -> None:
    done = run(tmp_path, text)
    assert (done.state, done.result) == ("completed", "failed")
    assert problem in done.problem
    assert not any(job.started for stage in done.stages for job in stage.jobs)


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
    everything = record.Runs().folder_of(done.number).rglob("*")
    assert not any("s3cret" in path.read_text(encoding="utf-8") for path in everything if path.is_file())


def test_untrusted_names_are_only_data(tmp_path: Path) -> None:
    text = """
        variables:
          branch: $(Build.SourceBranch)
        steps:
        - bash: printf '%s\\n' "$BRANCH"
          displayName: show
        """
    folder = laptop.repository(tmp_path / "repository", text)
    name = "x$(System.AccessToken)$(touch${IFS}pwned)`touch pwned`;a"
    laptop.git(folder, "branch", "x")  # Git allows no such names with spaces; the record may hold any
    done = agent.execute(laptop.queued(folder, name), folder, laptop.reject)
    assert laptop.log_of(done, "show") == f"refs/heads/{name}\n"


def test_the_stand_in_for_azure_devops_is_passed_on(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Service:
        collection_uri: str = "http://127.0.0.1:1/"
        token: str = "t0ken"

    folder = laptop.repository(
        tmp_path / "repository",
        """
        steps:
        - bash: echo "$SYSTEM_COLLECTIONURI $T ${#T}"
          displayName: show
          env: {T: $(System.AccessToken)}
        """,
    )
    done = agent.execute(laptop.queued(folder), folder, laptop.reject, service=Service())
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
    assert found["WORKSHOP_DEVOPS_RUN"] == str(done.number)
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


def test_a_step_and_a_job_may_take_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"ahead": 0.0}
    monkeypatch.setattr("workshop.devops.jobs.time.monotonic", lambda: CLOCK() + clock["ahead"])
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
          - {bash: 'true', displayName: rest, condition: always()}
        """,
    )

    def advance(running: record.Run) -> None:
        begun = {name for name, step in laptop.steps_of(running).items() if step.started}
        clock["ahead"] = 362.0 if "job" in begun else 61.0 if "step" in begun else 0.0

    done = agent.execute(laptop.queued(folder), folder, laptop.reject, advance)
    found = results(done)
    assert (found["step"], found["after"], found["A"]) == ("failed", "succeeded", "failed")
    assert (found["job"], found["rest"], found["B"], found["run"]) == ("canceled",) * 4
    assert "longer than" in laptop.steps_of(done)["step"].issues[0].text


def test_an_interrupt_cancels_the_run(tmp_path: Path) -> None:
    folder = laptop.repository(
        tmp_path / "repository",
        """
        steps:
        - {checkout: none}
        - {bash: 'trap "echo stopped; exit" TERM; echo ready; read < <(sleep 60)', displayName: long}
        - {bash: 'true', displayName: rest, condition: always()}
        """,
    )
    queued = laptop.queued(folder)
    log = record.Runs().folder_of(queued.number) / "logs" / "1-long.log"
    over = threading.Event()

    def interrupt() -> None:
        while not over.is_set():
            if log.is_file() and "ready" in log.read_text(encoding="utf-8"):
                os.kill(os.getpid(), signal.SIGINT)
                return
            over.wait(0.02)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        done = agent.execute(queued, folder, laptop.reject)
    finally:
        over.set()
        thread.join()
    assert (results(done)["long"], results(done)["rest"], done.result) == ("canceled", "canceled", "canceled")
    assert laptop.log_of(done, "long") == "ready\nstopped\n"
    assert record.Runs().load(done.number) == done


@pytest.mark.integration
def test_what_a_killed_agent_leaves_running_is_found(tmp_path: Path, home: Path) -> None:
    folder = laptop.repository(
        tmp_path / "repository",
        """
        steps:
        - {checkout: none}
        - {bash: 'setsid sleep 60 & sleep 60 & echo "started $!"; wait', displayName: long}
        """,
    )
    number = laptop.queued(folder).number
    code = (
        "import sys; from pathlib import Path; from workshop.devops import agent, record;"
        f"agent.execute(record.Runs().load({number}), Path(sys.argv[1]), lambda run, job: None)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, folder])
    log = record.Runs().folder_of(number) / "logs" / "1-long.log"
    waited = threading.Event()
    while not (log.is_file() and "started" in log.read_text(encoding="utf-8")):
        assert worker.poll() is None
        waited.wait(0.02)
    worker.kill()
    worker.wait()
    orphan = psutil.Process(int(re.findall(r"\d+", log.read_text(encoding="utf-8"))[0]))
    assert orphan.is_running()
    assert agent.clean_up(number + 1) == 0
    assert agent.clean_up(number) == 3
    laptop.wait_until_gone(orphan.pid)
    assert agent.clean_up(number) == 0
    assert not (record.Runs().folder_of(number) / "work").exists()


def test_whatever_is_said_to_be_predefined_is_there(tmp_path: Path) -> None:
    names = [name for name in undefined.PREDEFINED if not name.startswith((*NOT_KNOWN_HERE, "Environment."))]
    lines = "\n".join(f"    echo '$({name})'" for name in names)
    done = run(tmp_path, f"steps:\n- checkout: none\n- bash: |\n{lines}\n  displayName: show\n")
    missing = [line for line in laptop.log_of(done, "show").splitlines() if line.startswith("$(")]
    assert missing == []
