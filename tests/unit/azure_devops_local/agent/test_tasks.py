"""Tasks: their results, and the notices for the parts that are left out."""

import platform
from pathlib import Path

import pytest

from azure_devops_local import run_store
from azure_devops_local.agent import tasks
from azure_devops_local.language import reading_steps
from tests.support import laptop

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.a" name="good"/>
<testcase classname="tests.a" name="bad"><failure message="x"/></testcase>
<testcase classname="tests.a" name="ugly"><error/></testcase>
<testcase name="later"><skipped/></testcase>
</testsuite></testsuites>"""


def run(tmp_path: Path, steps: str, **files: str) -> run_store.Run:
    return laptop.execute(laptop.repository(tmp_path / "repository", f"steps:\n{steps}", **files))


def result_of(done: run_store.Run, name: str) -> tuple[str | None, str]:
    step = laptop.steps_of(done)[name]
    return step.result, " ".join(issue.text for issue in step.issues)


def test_each_task_that_can_be_read_can_be_executed() -> None:
    assert tasks.TASKS.keys() == reading_steps.TASKS.keys()


def test_azure_cli_runs_its_script_without_a_sign_in(tmp_path: Path) -> None:
    steps = """
- task: AzureCLI@2
  displayName: cloud
  inputs:
    azureSubscription: team
    scriptType: bash
    scriptLocation: inlineScript
    inlineScript: |
      echo "in $PWD on $(Build.SourceBranchName)"
    workingDirectory: inner
"""
    done = run(tmp_path, steps, **{"inner/x": ""})
    assert result_of(done, "cloud") == ("succeeded", "")
    assert "work/s/inner on main" in laptop.log_of(done, "cloud")
    assert any("without signing in to Azure as team" in notice for notice in done.notices)


def test_values_that_steps_set_are_expanded_like_any_other(tmp_path: Path) -> None:
    steps = """
- bash: echo '##vso[task.setvariable variable=a]$(one'')$(b)'; echo '##vso[task.setvariable variable=b]twice'
- task: Bash@3
  displayName: task
  inputs: {targetType: inline, script: 'echo ''$(a)'''}
"""
    assert laptop.log_of(run(tmp_path, steps), "task") == "$(one)twice\n"


@pytest.mark.parametrize(
    ("required", "result"),
    [
        (".".join(platform.python_version_tuple()[:2]), "succeeded"),
        (platform.python_version(), "succeeded"),
        ("3.x", "succeeded"),
        (">=3.11", "succeeded"),
        (">=3.11 <4", "succeeded"),
        ("3.2", "failed"),
        ("<3", "failed"),
        ("snake", "failed"),
    ],
)
def test_python_is_the_one_that_runs_the_agent(tmp_path: Path, required: str, result: str) -> None:
    steps = f"""
- checkout: none
- task: UsePythonVersion@0
  displayName: python
  inputs: {{versionSpec: '{required}'}}
- bash: |
    set -e
    python -c 'import sys; print(sys.version)'
    python3 -m venv --without-pip env
    env/bin/python -c 'import json'
  displayName: used
"""
    done = run(tmp_path, steps)
    found, message = result_of(done, "python")
    assert found == result
    if result == "succeeded":
        assert laptop.log_of(done, "used").startswith(platform.python_version())
        assert result_of(done, "used")[0] == "succeeded"
    else:
        assert required in message


def test_the_cache_is_a_notice(tmp_path: Path) -> None:
    steps = """
- task: Cache@2
  displayName: cache
  inputs: {key: x, path: packages, cacheHitVar: HIT}
- bash: echo "hit $HIT"
  displayName: after
"""
    done = run(tmp_path, steps)
    assert any("cache" in notice for notice in done.notices)
    assert laptop.log_of(done, "after") == "hit false\n"


@pytest.mark.parametrize(("more", "result"), [("", "succeeded"), ("failTaskOnFailedTests: true", "failed")])
def test_test_results_are_counted(tmp_path: Path, more: str, result: str) -> None:
    steps = f"""
- task: PublishTestResults@2
  displayName: publish
  inputs:
    testResultsFiles: '**/*.xml'
    searchFolder: $(Build.SourcesDirectory)/out
    {more}
"""
    done = run(tmp_path, steps, **{"out/a.xml": JUNIT, "out/deep/b.xml": JUNIT})
    found, message = result_of(done, "publish")
    assert found == result
    assert done.tests == {"passed": 2, "failed": 4, "skipped": 2}
    assert "The test tests.a.bad failed." in message


@pytest.mark.parametrize(
    ("content", "more", "result", "kind"),
    [
        ("", "", "succeeded", "warning"),
        ("", "failTaskOnMissingResultsFile: true", "failed", "error"),
        ("<testsuites", "", "succeeded", "warning"),
        ("<testsuites", "failTaskOnFailureToPublishResults: true", "failed", "error"),
    ],
)
def test_missing_or_invalid_test_results(tmp_path: Path, content: str, more: str, result: str, kind: str) -> None:
    steps = f"""
- task: PublishTestResults@2
  displayName: publish
  inputs:
    testResultsFiles: results/*.xml
    {more}
"""
    done = run(tmp_path, steps, **({"results/a.xml": content} if content else {}))
    step = laptop.steps_of(done)["publish"]
    assert (step.result, step.issues[0].kind) == (result, kind)


def test_artifacts_are_copied_into_the_run(tmp_path: Path) -> None:
    steps = """
- bash: mkdir -p "$(Build.ArtifactStagingDirectory)/out" && echo 1 > "$BUILD_ARTIFACTSTAGINGDIRECTORY/out/one"
- publish: $(Build.ArtifactStagingDirectory)/out
  artifact: first
- task: PublishPipelineArtifact@1
  inputs: {targetPath: README, artifact: second}
- publish: README
  artifact: second
  displayName: again
  condition: always()
- publish: nowhere
  artifact: third
  displayName: missing
  condition: always()
- publish: README
  artifact: ../up
  displayName: outside
  condition: always()
"""
    done = run(tmp_path, steps, README="read me")
    artifacts = run_store.Runs().folder_of(done.number) / "artifacts"
    assert done.artifacts == ["first", "second"]
    assert sorted(path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()) == [
        "first/one",
        "second/README",
    ]
    for name, message in (("again", "already"), ("missing", "no "), ("outside", "can't be called")):
        result, text = result_of(done, name)
        assert result == "failed"
        assert message in text
    assert not (run_store.Runs().folder_of(done.number) / "up").exists()
