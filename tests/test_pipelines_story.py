"""Parts 3 to 5 of the workshop, lived through on the command line: push, pull request, CI, pull request, CD.

And what the people in the room try next: CD by hand on their own branch, a merge that makes no better model, a merge of
documentation.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clones import copy_training_cell
from tests.commands import latest_summary, status, workshop
from tests.participant import NOTEBOOKS, git, reword, runs, said, stand_in_a_clone
from workshop.core import store, tables
from workshop.core.slots import Slot, open_slots

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture
def clone(tmp_path: Path, home: Path, delivered: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A participant's clone, in which she stands after her first `make cd`; what still runs at the end is stopped."""
    shutil.copytree(delivered, home)
    yield stand_in_a_clone(tmp_path / "clone", monkeypatch)
    said("devops", "stop")


def held(slot: Slot) -> str | None:
    """The version that holds a slot."""
    return open_slots(store.connect(), "wine_quality").holder(slot)


def production() -> str | None:
    """The version that holds Production."""
    return held(Slot.PRODUCTION)


def finished(number: int) -> tuple[str, str, str]:
    """Pipeline, branch and result of a run, when nothing goes on without a person any more."""
    workshop("devops", "watch", "--until-idle")
    (run,) = [run for run in runs() if run["number"] == number]
    return run["pipeline"], run["branch"], run["result"] or run["state"]


def a_push_is_tested() -> None:
    """Part 3."""
    assert status()["slots"]["production"]["version"] == "1"
    said("devops", "start")
    git("switch", "--create", "dev-ana")
    reword("part_1_1_data_prep", "Three sentences more.")
    assert "workshop_unit_test.yml" in git("push", "workshop", "dev-ana")
    assert finished(1) == ("workshop_unit_test.yml", "dev-ana", "succeeded")
    assert len(runs()) == 1


def cd_by_hand_on_a_branch_of_ones_own_promotes_nothing(clone: Path, home: Path) -> None:
    """Part 4: the better training code, tried by its author."""
    copy_training_cell(clone / NOTEBOOKS)
    git("commit", "--all", "--message", "Train the better model")
    git("push", "workshop", "dev-ana")
    assert finished(2) == ("workshop_unit_test.yml", "dev-ana", "succeeded")
    compared = said("pipelines", "run", "cd.yml", "--branch", "dev-ana")
    assert "is better than version 1, but this run only compares; Production is untouched." in compared
    assert latest_summary(home)["status"] == "compared"
    assert production() == "1"


def the_better_model_goes_through_ci_and_cd(home: Path) -> str:
    """Part 4 into integration, and Part 5; returns the version that is promoted."""
    said("devops", "pr", "create", "--source", "dev-ana", "--target", "integration")
    assert "ci.yml" in said("devops", "pr", "complete", "1")
    assert finished(4) == ("ci.yml", "integration", "succeeded")
    (_, request) = json.loads(said("devops", "pr", "list", "--json"))
    assert (request["source"], request["target"], request["status"]) == ("integration", "main", "active")
    assert "The candidate is better: AUC" in request["description"].replace("\\", "")
    assert "base64" not in request["description"]
    staged = held(Slot.STAGING)

    # Somebody else completes it, the deployment is approved, and the better model takes Production.
    assert "somebody else" in said("devops", "pr", "complete", "2", code=1)
    assert "cd.yml" in said("devops", "pr", "complete", "2", "--as", "Bob")
    assert finished(5) == ("cd.yml", "main", "waiting for approval")
    assert production() == "1"
    said("devops", "approve", "5", "--as", "Bob")
    assert finished(5) == ("cd.yml", "main", "succeeded")
    promoted = production()
    assert promoted is not None and staged is not None
    assert int(promoted) > int(staged) > 1
    assert open_slots(store.connect(), "wine_quality").archived() == ["1"]
    assert latest_summary(home)["git_commit"] == git("ls-remote", "workshop", "main").split()[0]
    said("run", "--notebooks", "1_4")
    predictions = tables.Table("predictions", home / "data" / "predictions" / "no_name").read().frame
    assert set(predictions["model_version"]) == {promoted}
    return promoted


def a_merge_that_makes_no_better_model_succeeds_with_issues(promoted: str) -> None:
    """A second merge, after which Production is as it was."""
    git("fetch", "workshop")
    git("switch", "--create", "dev-cleo", "workshop/main")
    reword("part_1_1_data_prep", "Nothing of this changes the model.")
    git("push", "workshop", "dev-cleo")
    assert finished(6) == ("workshop_unit_test.yml", "dev-cleo", "succeeded")
    said("devops", "pr", "create", "--source", "dev-cleo", "--target", "main", "--as", "Cleo")
    said("devops", "pr", "complete", "3", "--as", "Ana")
    finished(7)
    said("devops", "approve", "7", "--as", "Bob")
    assert finished(7) == ("cd.yml", "main", "succeeded with issues")
    (last,) = [run for run in runs() if run["number"] == 7]
    issues = [issue["text"] for stage in last["stages"] for job in stage["jobs"] for step in job["steps"]
              for issue in step["issues"]]  # fmt: skip
    assert any("is not better than version" in text for text in issues)
    assert production() == promoted


def a_merge_of_documentation_starts_nothing(clone: Path) -> None:
    """No pipeline watches it, and no test is asked of it."""
    (clone / "docs" / "reference.md").write_text("Shorter.\n", encoding="utf-8")
    git("commit", "--all", "--message", "Shorten the reference")
    git("push", "workshop", "dev-cleo")
    said("devops", "pr", "create", "--source", "dev-cleo", "--target", "main", "--as", "Cleo")
    said("devops", "pr", "complete", "4", "--as", "Ana")
    assert len(runs()) == 7


def test_parts_3_to_5_of_the_workshop(clone: Path, home: Path) -> None:
    a_push_is_tested()
    cd_by_hand_on_a_branch_of_ones_own_promotes_nothing(clone, home)
    promoted = the_better_model_goes_through_ci_and_cd(home)
    a_merge_that_makes_no_better_model_succeeds_with_issues(promoted)
    a_merge_of_documentation_starts_nothing(clone)
