"""Pipelines that end as Azure DevOps ends them: one folder of `cases` for each.

A case has `pipeline.yml`, `expected.yml`, and any further files of the repository's pipeline folder, such as templates;
`variable_groups.yml` goes to the home. The keys of `expected.yml`, all but `source` optional:

    source:      where the rule comes from
    run:         fields of the run: `branch`, `reason`, `parameters`, …
    refused:     a part of the run's problem; no step has begun
    results:     by name, the results of stages, jobs, steps and of the `run`; other names may exist
    log:         by the name of a step, lines of its log
    issues:      by the name of a step or a job, parts of its warnings and errors
    never:       texts that are in no log
"""

import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from azure_devops_local import host, run_store
from azure_devops_local.agent import agent
from tests.support import laptop

CASES = sorted(path.parent for path in Path(__file__).parent.glob("cases/*/pipeline.yml"))
_OF_THE_CASE = {"pipeline.yml", "expected.yml", "variable_groups.yml"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pipeline_ends_as_in_azure(case: Path, tmp_path: Path) -> None:
    expected: dict[str, Any] = YAML(typ="safe", pure=True).load(case / "expected.yml")
    assert expected.keys() <= {"source", "run", "refused", "results", "log", "issues", "never"}
    assert expected["source"]
    done = run_of(case, tmp_path / "repository", expected.get("run", {}))
    if "refused" in expected:
        assert expected["refused"] in done.problem
        assert (done.result, done.stages) == ("failed", [])
        return
    assert done.problem == ""
    results = laptop.results(done)
    assert {name: results.get(name) for name in expected.get("results", {})} == expected.get("results", {})
    for name, lines in expected.get("log", {}).items():
        assert [line for line in lines if line not in laptop.log_of(done, name).splitlines()] == []
    for name, texts in expected.get("issues", {}).items():
        assert [text for text in texts if text not in issues_of(done, name)] == []
    logs = "".join(path.read_text(encoding="utf-8") for path in run_store.Runs().folder_of(done.number).glob("logs/*"))
    assert [text for text in expected.get("never", []) if text in logs] == []


def run_of(case: Path, folder: Path, fields: dict[str, Any]) -> run_store.Run:
    """Run a case's pipeline to its end."""
    if (case / "variable_groups.yml").exists():
        host.current().home.mkdir(parents=True)
        shutil.copy(case / "variable_groups.yml", host.current().home)
    further = {
        f".azure_pipelines/{path.relative_to(case).as_posix()}": path.read_text(encoding="utf-8")
        for path in case.rglob("*")
        if path.is_file() and path.name not in _OF_THE_CASE
    }
    laptop.repository(folder, (case / "pipeline.yml").read_text(encoding="utf-8"), **further)
    queued = run_store.Run.model_validate(laptop.queued(folder).model_dump() | fields)
    return agent.execute(queued, folder, laptop.approve)


def issues_of(done: run_store.Run, name: str) -> str:
    """Return the warnings and errors of the steps and jobs of a name, one a line."""
    jobs = [job for stage in done.stages for job in stage.jobs]
    parts = chain[run_store.Part](jobs, (step for job in jobs for step in job.steps))
    return "\n".join(issue.text for part in parts if part.name == name for issue in part.issues)
