"""The step of the unit-test pipeline that runs the changed notebooks: its own script, with `workshop` as a stand-in."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.test_pipelines_databricks import job, named
from tests.support.laptop import git

pytestmark = pytest.mark.integration
NOTEBOOK = "src/workshop/notebooks/part_1_2_training.ipynb"
WORKSHOP = """#!/bin/sh
echo "$*" >> "$WORKSHOP_HOME/calls"
if [ "$1" = run ]; then
  mkdir -p "$WORKSHOP_HOME/published"
  echo '<testsuite/>' > "$WORKSHOP_HOME/published/notebooks.xml"
fi
exit 1
"""


def test_a_notebook_that_fails_is_announced_with_its_sentence_and_its_result(tmp_path: Path) -> None:
    script = named(job("workshop_unit_test.yml").steps, "Test the changed notebooks").script
    for folder in ("bin", "home", "results", "clone"):
        (tmp_path / folder).mkdir()
    stand_in, notebook = tmp_path / "bin" / "workshop", tmp_path / "clone" / NOTEBOOK
    stand_in.write_text(WORKSHOP, encoding="utf-8")
    stand_in.chmod(0o755)
    notebook.parent.mkdir(parents=True)
    notebook.write_text("1", encoding="utf-8")
    git(tmp_path / "clone", "init", "--quiet")
    for text in ("1", "2"):
        notebook.write_text(text, encoding="utf-8")
        git(tmp_path / "clone", "add", "--all")
        git(tmp_path / "clone", "commit", "--quiet", "--message", text)
    git(tmp_path / "clone", "update-ref", "refs/remotes/origin/main", "HEAD~1")
    places = {"WORKSHOP_HOME": str(tmp_path / "home"), "RESULTS": str(tmp_path / "results")}
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "clone", env={**os.environ, **places, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    ran, announced = (tmp_path / "home" / "calls").read_text(encoding="utf-8").splitlines()
    assert ran.startswith("run --notebooks  part_1_2_training --run-name unit-test -p sample=0.2 --publish ")
    assert announced == f"azure announce {tmp_path / 'home' / 'published'}"
    assert (tmp_path / "results" / "notebooks.xml").is_file()
