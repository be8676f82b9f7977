"""`workshop check` and `workshop hint`."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import workshop_here
from tests.support.course import SOLUTION, World, act, solved
from tests.support.team import Clone, git
from tests.unit.course.readers.conftest import FILES
from workshop.course import checking
from workshop.course.facts import Facts
from workshop.course.readers import everything

SECONDS_TO_REACT = 2


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The world that the command looks at."""
    looked_at = World()
    monkeypatch.setattr(everything, "read", lambda *_: looked_at.facts())
    return looked_at


def test_a_part_lists_each_criterion_and_what_is_next(world: World) -> None:
    act(world, "configure", "make_setup")
    done = workshop_here("check", "0")
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line.partition(":")[0] for line in lines if line and line[0] in "✓✗"] == [
        "✓ identity", "✓ filter", "✗ tables", "✗ baseline", "✗ team",
    ]  # fmt: skip
    assert lines[1].startswith("    A commit names its author")
    assert lines[-1].startswith("Next, in Part 0, tables: ")
    assert lines[-1].endswith("More: `workshop hint tables`.")


def test_a_part_that_is_done_names_the_next(world: World) -> None:
    act(world, *SOLUTION[0])
    done = workshop_here("check", "0")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Part 0 is done. Next: Part 1, docs/part_1.md.")


def test_the_overview_names_one_next_thing(world: World) -> None:
    act(world, *SOLUTION[0], *SOLUTION[1][:1])
    done = workshop_here("check")
    assert done.code == 1
    assert done.out.splitlines()[:2] == ["✓ Part 0: 5 of 5 criteria are met.", "✗ Part 1: 1 of 5 criteria are met."]
    assert done.out.splitlines()[-1].startswith("Next, in Part 1, prepared")


def test_all_is_done_without_the_optional_one(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = solved(5, 1).facts()
    monkeypatch.setattr(everything, "read", lambda *_: facts)
    done = workshop_here("check")
    assert (done.code, done.out.splitlines()[-1]) == (0, "All criteria of all parts are met: the course is done.")
    assert "✗ scored (optional)" in workshop_here("check", "5").out


def test_json_has_the_fields_of_exercisms_interface(world: World) -> None:
    act(world, "configure")
    done = workshop_here("check", "0", "--json")
    report = json.loads(done.out)
    assert (done.code, report["version"], report["status"]) == (1, 3, "fail")
    assert [list(test) for test in report["tests"]] == [["name", "status", "message", "task_id"]] * 5
    assert report["tests"][0] == {
        "name": "identity",
        "status": "pass",
        "message": "Git writes Ana <ana@example.org> into your commits.",
        "task_id": 0,
    }
    assert report["message"] == checking.conclusion(checking.judge(world.facts(), 0))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_hint_of_each_level(level: int) -> None:
    criterion = checking.PARTS[1][0]
    done = workshop_here("hint", "branch", "--level", str(level))
    assert (done.code, done.out.startswith(criterion.hints[level - 1])) == (0, True)
    assert ("--level" in done.out) == (level < 3)  # the last level


def test_a_hint_has_the_participants_branch(world: World) -> None:
    act(world, *SOLUTION[0])
    world.name = "Bob Builder"
    assert "-c dev-bob workshop/integration" in workshop_here("hint", "branch", "--level", "3").out
    act(world, ("switch", "dev-robert", "integration"))
    world.person = "dev-robert"
    assert "git push workshop dev-robert" in workshop_here("hint", "pushed", "--level", "3").out


def test_a_hint_without_a_name_is_for_what_is_next(world: World) -> None:
    assert workshop_here("hint").out.startswith("identity: Git has no user.name")
    for part in range(6):
        act(world, *SOLUTION[part])
    assert workshop_here("hint").out == "All criteria are met.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hint", "bogus"], "There is no criterion bogus: choose one of identity, filter"),
        (["check", "6"], ""),
        (["check", "--json", "--watch"], "choose one of them"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], message: str) -> None:
    done = workshop_here(*arguments)
    assert (done.code, message in done.out + done.err) == (2, True)


def test_the_chosen_participant_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def read(folder: Path, chosen: str) -> Facts:
        asked.append((folder, chosen))
        return World().facts()

    monkeypatch.setattr(everything, "read", read)
    workshop_here("check", "--as", "ana")
    assert asked == [(Path.cwd(), "ana")]


def test_watch_prints_what_changes_within_two_seconds(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", FILES)
    command = [sys.executable, "-m", "workshop", "check", "0", "--watch"]
    with subprocess.Popen(command, cwd=clone.path, stdout=subprocess.PIPE, text=True, encoding="utf-8") as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        assert any(line.startswith("Next, in Part 0") for line in lines)
        started = time.monotonic()
        git(clone.path, "config", "user.email", "no address")
        assert next(lines).startswith("✗ identity: Git's user.email is no address")
        seconds = time.monotonic() - started
        assert next(lines).startswith("Next, in Part 0, identity: ")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 1
    assert seconds < SECONDS_TO_REACT
