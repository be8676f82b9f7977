"""Pipelines from their files, and everything that is refused before a run."""

from typing import Any

import pytest

from azure_devops_local.language.documents import PipelineError
from azure_devops_local.language.pipeline import Pipeline, Variable
from azure_devops_local.language.reading import read_pipeline
from azure_devops_local.language.reading_steps import TASKS
from tests.support.pipeline_files import Fake

CD = ".azure_pipelines/cd.yml"


def read(text: str, **given: str) -> Pipeline:
    return read_pipeline(Fake({CD: text}), CD, given, {"Build.SourceBranch": "refs/heads/main"})


def scripts(text: str) -> list[tuple[str, str]]:
    (stage,) = read(text).stages
    return [(step.kind, step.display_name) for step in stage.jobs[0].steps]


def test_steps_alone_get_a_stage_a_job_and_a_checkout() -> None:
    pipeline = read("steps:\n- script: echo hello\n")
    (stage,) = pipeline.stages
    (job,) = stage.jobs
    assert (pipeline.path, stage.name, job.name, stage.condition, job.timeout_minutes) == (
        CD,
        "__default",
        "Job",
        "succeeded()",
        60,
    )
    assert [(step.kind, step.inputs, step.script) for step in job.steps] == [
        ("checkout", {"checkout": "self"}, ""),
        ("script", {}, "echo hello"),
    ]


def test_a_whole_pipeline() -> None:
    pipeline = read(
        """
        name: $(Date:yyyyMMdd)$(Rev:.r)
        trigger: {branches: {include: [main]}, anything: goes}
        pr: none
        lockBehavior: sequential
        pool: {vmImage: ubuntu-latest, demands: [bash, Agent.OS -equals Linux]}
        parameters:
        - name: promote
          type: boolean
          default: false
        variables:
        - group: secrets
        - name: model
          value: wine
          readonly: true
        - name: late
          value: $[coalesce(variables.x, 'y')]
        stages:
        - stage: CI
          displayName: Integration
          jobs:
          - job: test
            continueOnError: TRUE
            timeoutInMinutes: 5
            steps:
            - checkout: self
              clean: true
              fetchDepth: 1
              persistCredentials: false
            - bash: |
                set -e
                # a comment
                pytest
              name: judge
              condition: and(always(), eq(variables['model'], 'wine'))
              env: {A: $(model)}
              workingDirectory: $(Build.SourcesDirectory)
              enabled: false
              failOnStderr: true
              timeoutInMinutes: 2
            - publish: $(Pipeline.Workspace)/r
              artifact: report
          - job: second
            dependsOn: test
            condition: and(succeeded('test'), eq(dependencies.test.outputs['judge.x'], 'true'))
            variables:
              x: $[ dependencies.test.outputs['judge.x'] ]
            steps:
            - checkout: none
            - task: Cache@2
              displayName: Cache of $(x)
              inputs: {key: uv, path: $(Pipeline.Workspace)/.uv}
        - stage: Alone
          dependsOn: []
          jobs: [{job: a, steps: [{script: x}]}]
        - stage: CD
          dependsOn: [CI, Alone]
          condition: and(succeeded(), eq(dependencies.CI.result, 'Succeeded'))
          jobs:
          - deployment: deploy
            environment: {name: production}
            strategy: {runOnce: {deploy: {steps: [{script: go}]}}}
        """
    )
    ci, alone, cd = pipeline.stages
    assert (pipeline.groups, pipeline.run_name_format) == (("secrets",), "$(Date:yyyyMMdd)$(Rev:.r)")
    assert [(one.name, one.value) for one in pipeline.variables if isinstance(one, Variable)] == [
        ("model", "wine"),
        ("late", "$[coalesce(variables.x, 'y')]"),
    ]
    assert pipeline.parameters == {"promote": False}
    assert (ci.display_name, alone.depends_on, cd.depends_on) == ("Integration", (), ("CI", "Alone"))
    test, second = ci.jobs
    assert (test.continue_on_error, test.timeout_minutes, second.depends_on) == (True, 5, ("test",))
    checkout, judge, publish = test.steps
    assert checkout.inputs == {"checkout": "self", "clean": "true", "fetchDepth": "1", "persistCredentials": "false"}
    assert (judge.display_name, judge.name, judge.enabled, judge.fail_on_stderr) == ("judge", "judge", False, True)
    assert (judge.timeout_minutes, judge.env, judge.working_directory) == (
        2,
        {"A": "$(model)"},
        "$(Build.SourcesDirectory)",
    )
    assert (publish.display_name, publish.inputs["artifact"]) == ("Publish report", "report")
    assert [step.task for step in second.steps] == ["Cache@2"]
    assert second.steps[0].inputs == {"key": "uv", "path": "$(Pipeline.Workspace)/.uv"}
    (deploy,) = cd.jobs
    assert (deploy.environment, [step.kind for step in deploy.steps]) == ("production", ["script"])


def test_depends_on_by_default() -> None:
    text = "stages:\n- stage: a\n  jobs: &\n- stage: b\n  jobs: &\n- stage:\n  jobs: &\n"
    pipeline = read(text.replace("&", "[{job: , steps: [{script: x}]}, {job: , steps: [{script: x}]}]"))
    assert [(stage.name, stage.depends_on) for stage in pipeline.stages] == [
        ("a", ()),
        ("b", ("a",)),
        ("Stage", ("b",)),
    ]
    assert [(job.name, job.depends_on) for job in pipeline.stages[0].jobs] == [("Job", ()), ("Job2", ())]


def test_display_names_fall_back() -> None:
    text = """
        steps:
        - checkout: self
        - script: |
            set -euo pipefail
            # why
            make it
        - script: |
            set -e
        - task: UsePythonVersion@0
          inputs: {versionSpec: "3.11"}
        """
    shown = [name for _, name in scripts(text)]
    assert shown == ["Checkout", "make it", "Bash", "UsePythonVersion"]


def test_defined_variables() -> None:
    read(
        """
        variables: {a: "1", b: $(a), condition: no expression}
        stages:
        - stage: s
          variables: {c: "1"}
          jobs:
          - job: j
            variables: [{name: d, value: $(c)}]
            displayName: $(A) $(c) $(d) $(made) $(maker.shared) $(hit) $(build.reason)
            steps:
            - bash: |
                echo "##vso[task.setvariable variable=made]1"
                echo "##vso[task.setvariable isOutput=true;variable=shared]1"
                echo $(pwd) $(git rev-parse HEAD) $(Build.SourceBranch) $(lib.anything)
              name: maker
            - task: Cache@2
              inputs: {key: k, path: p, cacheHitVar: hit}
        """
    )


def test_a_variable_group_may_define_any_name() -> None:
    read("variables:\n- group: secrets\nsteps:\n- script: x\n  env:\n    A: $(password)\n")


SCRIPT = "steps:\n- script: x\n"
JOBS = "jobs:\n- job: a\n  steps:\n  - script: x\n"
STAGES = "stages:\n- stage: A\n  jobs:\n  - job: a\n    steps:\n    - script: x\n"
AZURE_CLI = "steps:\n- task: AzureCLI@2\n  inputs:\n    azureSubscription: x\n    scriptType: bash\n"
DEPLOY = "jobs:\n- deployment: d\n  environment: production\n  strategy:\n"
NOT_HERE = "is not implemented by this agent"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        # keys
        ("steps:\n- scirpt: x\n", 2, "`scirpt` is not a key of a step; did you mean `script`?"),
        (SCRIPT + "  displayname: x\n", 3, "did you mean `displayName`?"),
        (SCRIPT + "  artifact: x\n", 3, "`artifact` is not a key of a step"),
        (JOBS + "  enviroment: x\n", 5, "`enviroment` is not a key of a job"),
        ("steps:\n- getPackage: x\n", 2, f"`getPackage` {NOT_HERE}"),
        (JOBS + "  container: x\n", 5, f"`container` {NOT_HERE}"),
        (JOBS + "  strategy:\n    parallel: 2\n", 6, f"`parallel` {NOT_HERE}"),
        (JOBS + "  strategy:\n    matrix: $[ variables.x ]\n", 6, "computed at run time is not implemented"),
        (JOBS + "  strategy:\n    matrix: {a-b: {c: d}}\n", 6, "`a-b` is not a name"),
        (JOBS + "  strategy:\n    matrix: {a: x}\n", 6, "`a` is a mapping"),
        (JOBS + "  strategy:\n    maxParallel: 2\n", 5, "`matrix` has a name and variables"),
        ("resources: {repositories: []}\n" + SCRIPT, 1, f"`resources` {NOT_HERE}"),
        ("pr: [main]\n" + SCRIPT, 1, "Azure Repos ignores `pr:`"),
        ("trigger: none\npr:\n  branches: {include: [main]}\n" + SCRIPT, 2, "build-validation policy"),
        (STAGES + "  lockBehavior: runLatest\n", 7, "`lockBehavior`"),
        ("pool:\n  image: x\n" + SCRIPT, 2, "`image` is not a key of `pool`"),
        # shapes
        ("trigger: none\n", 1, "exactly one of `stages`, `jobs` and `steps`"),
        (SCRIPT + JOBS, 1, "exactly one of"),
        ("steps: []\n", 1, "`steps` is a list with at least one entry"),
        ("steps:\n- x\n", 2, "each entry of `steps` is a mapping"),
        ("jobs:\n- job: a\n", 2, "`steps` is a list with at least one entry"),
        (
            "steps:\n- displayName: x\n",
            2,
            "exactly one of script, bash, pwsh, powershell, task, checkout, publish, download",
        ),
        ("steps:\n- script:\n", 2, "`script` is empty"),
        ("steps:\n- script: [a]\n", 2, "`script` is text"),
        (SCRIPT + "  env: x\n", 3, "`env` is a mapping"),
        (SCRIPT + "  env:\n    A: [x]\n", 4, "`A` is text"),
        (SCRIPT + "  enabled: maybe\n", 3, "`enabled` is true or false, not `maybe`"),
        (SCRIPT + "  enabled: |\n    may\n    be\n", 3, "`enabled` is true or false, not `may be `"),
        (SCRIPT + "  timeoutInMinutes: 1.5\n", 3, "a whole number, not `1.5`"),
        (JOBS + "  dependsOn: {a: b}\n", 5, "a name or a list of names"),
        ("steps:\n- checkout: other\n", 2, "`checkout` can only be self or none here"),
        ("steps:\n- checkout: self\n  submodules: recursive\n", 3, "`submodules` can only be false here"),
        # tasks
        ("steps:\n- task: UsePythonVersion@2\n", 2, "did you mean `UsePythonVersion@0`?"),
        ("steps:\n- task: Cache@2\n  inputs:\n    key: a\n    paths: b\n", 5, "`paths` is not an input of Cache@2"),
        ("steps:\n- task: Cache@2\n  inputs:\n    key: a\n", 2, "Cache@2 needs the input `path`"),
        (AZURE_CLI + "    scriptLocation: scriptPath\n", 6, "it can only be inlineScript"),
        ("steps:\n- task: Bash@3\n  inputs:\n    filePath: x.sh\n", 4, "`filePath` is not an input of Bash@3"),
        # deployment jobs
        (DEPLOY + "    rolling: {deploy: {steps: [{script: x}]}}\n", 5, f"`rolling` {NOT_HERE}"),
        (DEPLOY + "    runOnce:\n      preDeploy: {steps: [{script: x}]}\n", 6, f"`preDeploy` {NOT_HERE}"),
        (
            "jobs:\n- deployment: d\n  strategy: {runOnce: {deploy: {steps: [{script: x}]}}}\n",
            2,
            "needs `environment: NAME`",
        ),
        (
            DEPLOY.replace("production", "{name: a, resourceName: b}")
            + "    runOnce: {deploy: {steps: [{script: x}]}}\n",
            3,
            "`resourceName` is not implemented",
        ),
        (
            "jobs:\n- deployment: d\n  environment: p\n  steps:\n  - script: x\n",
            4,
            "`steps` is not a key of a deployment job",
        ),
        # names and dependencies
        (JOBS + "- job: A\n  steps:\n  - script: x\n", 5, "the name `A` is taken"),
        (JOBS.replace("job: a", "job: a-b"), 2, "`a-b` is not a name"),
        (SCRIPT + "  name: n\n- script: y\n  name: N\n", 5, "the name `N` is taken"),
        (JOBS + "- job: b\n  steps:\n  - script: x\n  dependsOn: [a, tset]\n", 8, "names `tset`, which does not exist"),
        (JOBS + "  dependsOn: b\n- job: b\n  steps:\n  - script: x\n  dependsOn: a\n", 5, "is circular (a → b → a)"),
        # conditions and variables
        (SCRIPT + "  condition: eq(1\n", 3, "`eq(1` is not an expression"),
        (SCRIPT + "  condition: or(always(), suceeded())\n", 3, "no function `suceeded`; did you mean `succeeded`?"),
        (SCRIPT + "  condition: eq(dependencies.a.result, 1)\n", 3, "`dependencies` is not known"),
        (JOBS + "  condition: eq(dependencies.b.result, 'x')\n", 5, "`dependsOn` does not name b"),
        ("variables:\n  a: $[ nope() ]\n" + SCRIPT, 2, "there is no function `nope`"),
        ("variables:\n  a: $[ dependencies.A.result ]\n" + SCRIPT, 2, "`dependencies` is not known"),
        (STAGES + "  variables: {a: '$[ dependencies.A.result ]'}\n", 7, "`dependencies` is not known"),
        ("schedules: [{cron: x}]\n" + SCRIPT, 1, "`cron` has five fields"),
        ("steps:\n- displayName: x\n  bash: y\n", 2, "the step begins with `bash`: put it first."),
        ("jobs:\n- displayName: x\n  job: A\n  steps: [{bash: y}]\n", 2, "a job begins with `job` or `deployment`"),
        ("jobs:\n- variables: {a: b}\n  job: A\n  steps: [{bash: y}]\n", 2, "a job begins with `job` or `deployment`"),
        ("jobs:\n- steps: [{bash: y}]\n", 2, "a job begins with `job` or `deployment`"),
        ("stages:\n- jobs: [{job: A, steps: [{bash: y}]}]\n", 2, "a stage begins with `stage`: put it first."),
        ("parameters:\n- type: string\n  name: a\n" + SCRIPT, 2, "a parameter begins with `name`: put it first."),
        ("variables:\n- value: b\n  name: a\n" + SCRIPT, 2, "a variable begins with `name`: put it first."),
        ("schedules:\n- displayName: a\n" + SCRIPT, 2, "a schedule begins with `cron`: put it first."),
        ("steps:\n- parameters: {a: b}\n  template: x.yml\n", 2, "the entry begins with `template`: put it first."),
        *[
            (f"schedules: [{{cron: '{cron}'}}]\n{SCRIPT}", 1, f"`{value}` is not a value for the {field} of `cron`")
            for cron, value, field in [
                ("60 * * * *", "60", "minutes"),
                ("*/0 * * * *", "*/0", "minutes"),
                ("0 8-24 * * *", "8-24", "hours"),
                ("0 0 0 * *", "0", "days"),
                ("0 0 * 1,13 *", "1,13", "months"),
                ("0 0 * * 7", "7", "days of the week"),
                ("0 0 * * Mon,Foo", "Mon,Foo", "days of the week"),
            ]
        ],
        ("schedules:\n- cron: 1 1 1 1 1\n  branches: main\n" + SCRIPT, 3, "`branches` has a list `include`"),
        ("schedules:\n- cron: 1 1 1 1 1\n  branches: [main]\n" + SCRIPT, 3, "`branches` has a list `include`"),
        ("schedules:\n- cron: 1 1 1 1 1\n  at: x\n" + SCRIPT, 3, "`at` is not a key of a schedule"),
        (SCRIPT + "  condition: eq(variables['Build.Nothing'], 'x')\n", 3, "`Build.Nothing` is not defined"),
        (SCRIPT + "  env:\n    A: $(System.HostType)\n", 4, "`System.HostType` exists only in Azure DevOps"),
        ("steps:\n- bash: echo ${BUILD_CONTAINERID}\n", 2, "`Build.ContainerId` exists only in Azure DevOps"),
        ("variables:\n  a: x $[ 1 ]\n" + SCRIPT, 2, "has to be the whole value"),
        ("variables:\n- name: a\n" + SCRIPT, 2, "a variable has a `name` and a `value`"),
        ("variables:\n  a: [b]\n" + SCRIPT, 2, "`a` is text"),
        ("variables: x\n" + SCRIPT, 1, "`variables` is a mapping, or a list"),
        # what is not defined
        (
            "variables: {model: x}\n" + SCRIPT + "  displayName: $(modle)\n",
            4,
            "`modle` is not defined; did you mean `model`?",
        ),
        (SCRIPT + "  env:\n    A: 1\n    B: x$(qqq)\n", 5, "`qqq` is not defined: add it to `variables:`"),
        (SCRIPT + "  workingDirectory: $(Build.SourceDirectory)\n", 3, "did you mean `Build.SourcesDirectory`?"),
        ("steps:\n- script: |\n    x\n    echo $(Build.SourceBrnch)\n", 2, "did you mean `Build.SourceBranch`?"),
        (
            "variables:\n- group: g\n" + SCRIPT + "  displayName: $(Build.Nothing)\n",
            5,
            "`Build.Nothing` is not defined",
        ),
        (
            JOBS + "  variables: {x: 1}\n- job: b\n  displayName: $(x)\n  steps:\n  - script: x\n",
            7,
            "`x` is not defined",
        ),
    ],
)
def test_refused_at_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(text)
    assert (caught.value.place.file, caught.value.place.line) == (CD, line), caught.value
    assert message in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_accepts_its_inputs(task: str) -> None:
    inputs = {name.rstrip("!"): only or "x" for name, only in TASKS[task].items()}
    lines = "".join(f"    {name}: {value}\n" for name, value in inputs.items())
    job: Any = read(f"steps:\n- task: {task}\n  inputs:\n{lines}").stages[0].jobs[0]
    assert job.steps[1].inputs == inputs
