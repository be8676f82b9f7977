"""Parts 3 to 5 of the workshop on the command line: push, pull request, CI, pull request, CD.

Also: CD by hand on another branch, a merge without a better model, a merge of documentation.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_devops_local.run_store import Runs
from tests.support.clones import NOTEBOOKS, copy_training_cell, git, output_of, reword, stand_in_a_clone
from tests.support.commands import latest_summary, status, workshop_here
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, open_slots

PATIENCE = 300
"""Time-out in seconds for a run that takes twenty."""
pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture
def clone(tmp_path: Path, home: Path, delivered: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A participant's clone after the first `make cd`; the current folder."""
    shutil.copytree(delivered, home)
    folder = stand_in_a_clone(tmp_path / "clone", monkeypatch)
    # CI runs the tests of core, which this suite runs anyway: a few are enough.
    for module in sorted((folder / "tests" / "unit" / "core").rglob("test_*.py"))[3:]:
        module.unlink()
    git("commit", "--all", "--message", "Keep a few tests")
    yield folder
    output_of("devops", "stop")


def held(slot: Slot) -> str | None:
    return open_slots(mlflow_store.connect(), "wine_quality").holder(slot)


def production() -> str | None:
    return held(Slot.PRODUCTION)


def finished(number: int) -> tuple[str, str, str]:
    """Return pipeline, branch and result of a run once it has ended or waits for an approval."""
    for _ in range(PATIENCE * 5):
        run = Runs().load(number)
        if run.state in ("completed", "waiting for approval"):
            return run.pipeline, run.branch, run.result or run.state
        threading.Event().wait(0.2)
    raise AssertionError(f"{run.title} is still {run.state} after {PATIENCE} seconds")


def issues_of(number: int) -> list[str]:
    """Return the warnings and errors of a run's steps."""
    jobs = [job for stage in Runs().load(number).stages for job in stage.jobs]
    return [issue.text for job in jobs for step in job.steps for issue in step.issues]


def test_parts_3_to_5_of_the_workshop(clone: Path, home: Path) -> None:
    assert status()["slots"]["production"]["version"] == "1"
    output_of("devops", "start")
    part_3_a_push_is_tested(clone)
    part_4_better_training_code_goes_through_ci()
    part_5_the_better_model_takes_production(home)
    a_merge_of_documentation_starts_nothing(clone)


def part_3_a_push_is_tested(clone: Path) -> None:
    git("switch", "--create", "dev-ana")
    reword("part_1_1_data_prep", "Three sentences more.")
    copy_training_cell(clone / NOTEBOOKS)
    git("commit", "--all", "--message", "Train the better model")
    assert "workshop_unit_test.yml" in git("push", "workshop", "dev-ana")
    assert finished(1) == ("workshop_unit_test.yml", "dev-ana", "succeeded")
    assert Runs().numbers() == [1]


def part_4_better_training_code_goes_through_ci() -> None:
    output_of("devops", "pr", "create", "--source", "dev-ana", "--target", "integration")
    assert "ci.yml" in output_of("devops", "pr", "complete", "1")
    assert finished(2) == ("ci.yml", "integration", "succeeded")
    (_, request) = json.loads(output_of("devops", "pr", "list", "--json"))
    assert (request["source"], request["target"], request["status"]) == ("integration", "main", "active")
    assert " lower bound +" in request["description"].replace("\\", "")
    assert "base64" not in request["description"]
    assert production() == "1"


def part_5_the_better_model_takes_production(home: Path) -> None:
    staged = held(Slot.STAGING)
    assert "another person than the author" in output_of("devops", "pr", "complete", "2", code=1)
    assert "cd.yml" in output_of("devops", "pr", "complete", "2", "--as", "Bob")
    assert finished(3) == ("cd.yml", "main", "waiting for approval")
    assert production() == "1"
    output_of("devops", "approve", "3", "--as", "Bob")
    output_of("devops", "watch", "--until-idle")
    assert finished(3) == ("cd.yml", "main", "succeeded")
    promoted = production()
    assert promoted is not None and staged is not None
    assert int(promoted) > int(staged) > 1
    assert open_slots(mlflow_store.connect(), "wine_quality").archived() == ["1"]
    assert latest_summary(home)["git_commit"] == git("ls-remote", "workshop", "main").split()[0]
    assert workshop_here("run", "--notebooks", "1_4").code == 0
    predictions = DeltaFolder("predictions", home / "data" / "predictions" / "no_name").read().frame
    assert set(predictions["model_version"]) == {promoted}


def a_merge_of_documentation_starts_nothing(clone: Path) -> None:
    git("fetch", "workshop")
    git("switch", "--create", "dev-cleo", "workshop/main")
    (clone / "docs" / "reference.md").write_text("Shorter.\n", encoding="utf-8")
    git("commit", "--all", "--message", "Shorten the reference")
    git("push", "workshop", "dev-cleo")
    output_of("devops", "pr", "create", "--source", "dev-cleo", "--target", "main", "--as", "Cleo")
    output_of("devops", "pr", "complete", "3", "--as", "Ana")
    assert Runs().numbers() == [1, 2, 3]


@pytest.mark.thorough
def test_a_merge_without_a_better_model_succeeds_with_issues(clone: Path, home: Path) -> None:
    output_of("devops", "start")
    git("switch", "--create", "dev-cleo")
    reword("part_1_1_data_prep", "Nothing of this changes the model.")
    git("push", "workshop", "dev-cleo")
    assert finished(1) == ("workshop_unit_test.yml", "dev-cleo", "succeeded")
    output_of("devops", "pr", "create", "--source", "dev-cleo", "--target", "main", "--as", "Cleo")
    output_of("devops", "pr", "complete", "1", "--as", "Ana")
    assert finished(2) == ("cd.yml", "main", "waiting for approval")
    output_of("devops", "approve", "2", "--as", "Bob")
    output_of("devops", "watch", "--until-idle")
    assert finished(2) == ("cd.yml", "main", "succeeded with issues")
    sentence = "is not better than version 1 on production wines; Production is untouched."
    assert any(sentence in text for text in issues_of(2))
    assert production() == "1"
    # In CI it fails, with the reason as an error.
    output_of("devops", "pr", "create", "--source", "dev-cleo", "--target", "integration", "--as", "Cleo")
    output_of("devops", "pr", "complete", "2")
    assert finished(3) == ("ci.yml", "integration", "failed")
    assert any("is not better than version 1" in text for text in issues_of(3))
    assert len(json.loads(output_of("devops", "pr", "list", "--json"))) == 2


@pytest.mark.thorough
def test_cd_by_hand_on_another_branch_promotes_nothing(clone: Path, home: Path) -> None:
    git("switch", "--create", "dev-ana")
    copy_training_cell(clone / NOTEBOOKS)
    git("commit", "--all", "--message", "Train the better model")
    compared = output_of("pipelines", "run", "cd.yml")
    assert "is better than version 1 on production wines, but this run only compares; Production is " in compared
    assert latest_summary(home)["status"] == "compared"
    assert production() == "1"
    meant = output_of("pipelines", "run", "cd.yml", "--param", "promoteFromThisBranch=true", "--approve")
    assert "better than version 1 on production wines; version 1 is archived." in meant
    assert production() == "3"
