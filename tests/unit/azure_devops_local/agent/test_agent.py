"""The agent: order, conditions and results of stages and jobs, and the end of all processes."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from azure_devops_local import run_store
from azure_devops_local.agent import agent, conditions
from azure_devops_local.agent.conditions import Done
from azure_devops_local.language import predefined
from tests.support import laptop
from tests.support.laptop import approve, reject, results, run

NOT_IMPLEMENTED = ("Build.RequestedForEmail", "Build.SourceVersionAuthor", "System.PullRequest.")


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


def test_a_job_that_may_fail(tmp_path: Path) -> None:
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
        ("skipped", False, False, False, False),
        ("abandoned", False, False, False, False),
        ("canceled", False, False, False, True),
    ],
)
def test_status_functions(
    result: run_store.Result, succeeded: bool, failed: bool, either: bool, canceled: bool
) -> None:
    ask = conditions.functions({"a": Done("a", result), "b": Done("b", "succeeded")})
    assert ask["always"]()
    assert ask["succeeded"]() is ask["succeeded"]("A") is succeeded
    assert ask["failed"]() is ask["failed"]("a") is failed
    assert ask["succeededorfailed"]() is either
    assert ask["succeededorfailed"]("a") is either
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
    assert laptop.log_of(done, "show B") == "nearer!|nearer!||nearer!\n"
    assert laptop.log_of(done, "show D").splitlines()[0] == "p!|production"
    assert laptop.log_of(done, "show E") == "d\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("steps: [{bash: x, unknwon: y}]", "line 1: `unknwon`"),
        ("steps: [{task: DotNetCoreCLI@2}]", "DotNetCoreCLI@2"),
        ("steps: [", "not YAML"),
        ("variables: [{group: team}]\nsteps: [{bash: 'true'}]", "variable group team is missing: write"),
    ],
)
def test_an_invalid_pipeline_is_refused_before_the_first_step(tmp_path: Path, text: str, problem: str) -> None:
    done = run(tmp_path, text)
    assert (done.state, done.result) == ("completed", "failed")
    assert problem in done.problem
    assert not any(job.started for stage in done.stages for job in stage.jobs)


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
    log = run_store.Runs().folder_of(queued.number) / "logs" / "1-long.log"
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
        done = agent.execute(queued, folder, reject)
    finally:
        over.set()
        thread.join()
    assert (results(done)["long"], results(done)["rest"], done.result) == ("canceled", "canceled", "canceled"), (
        laptop.log_of(done, "long")
    )
    assert laptop.log_of(done, "long") == "ready\nstopped\n"
    assert done.problem == "It was stopped by Ctrl-C or `workshop devops stop`."
    assert run_store.Runs().load(done.number) == done


@pytest.mark.integration
def test_processes_of_a_killed_agent_are_found(tmp_path: Path, home: Path) -> None:
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
        "import sys; from pathlib import Path; from azure_devops_local import host, run_store;"
        "from azure_devops_local.agent import agent; from workshop.cli.devops import HOST; host.use(HOST);"
        f"agent.execute(run_store.Runs().load({number}), Path(sys.argv[1]), lambda run, job: None)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, folder])
    log = run_store.Runs().folder_of(number) / "logs" / "1-long.log"
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
    assert not (run_store.Runs().folder_of(number) / "work").exists()


def test_all_predefined_variables_have_a_value(tmp_path: Path) -> None:
    names = [name for name in predefined.SET_HERE if not name.startswith((*NOT_IMPLEMENTED, "Environment."))]
    lines = "\n".join(f"    echo '$({name})'" for name in names)
    done = run(tmp_path, f"steps:\n- checkout: none\n- bash: |\n{lines}\n  displayName: show\n")
    missing = [line for line in laptop.log_of(done, "show").splitlines() if line.startswith("$(")]
    assert missing == []
