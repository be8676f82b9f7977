"""The facts of a clone, read from real repositories."""

import os
from pathlib import Path

import pytest

from azure_devops_local.server import repository
from tests.support.team import Clone, git
from tests.unit.course.readers.conftest import FILES, NAMES, PATH, merge, notebook
from workshop.cli import git_filter
from workshop.course import checking
from workshop.course.facts import NOTEBOOKS, PREPARATION, TRAINING, Change, Facts, Unseen
from workshop.course.readers import everything

OTHER = f"{NOTEBOOKS}{TRAINING}.ipynb"


def read(place: Clone, chosen: str = "") -> Facts:
    return everything.read(place.path, chosen)


def changes(facts: Facts) -> dict[str, Change]:
    return {change.commit: change for change in facts.clone.changes}


def files_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_reading_writes_nothing(clone: Clone, home: Path) -> None:
    clone.commit({PATH: notebook("a change")}, branch="dev-ana")
    os.utime(clone.path / PATH, (1, 1))  # so that `git diff` would refresh the index
    before = files_of(clone.path)

    checking.judge(read(clone))

    assert files_of(clone.path) == before
    assert not home.exists()


def test_the_identity_and_the_filter(clone: Clone, tmp_path: Path) -> None:
    facts = read(clone)
    assert (facts.clone.user_name, facts.clone.user_email) == ("Ana", "ana@example.org")
    assert not facts.clone.filter_set
    clone.commit({".gitattributes": "*.ipynb filter=without-outputs\n"})

    git_filter.set_filter(clone.path)
    assert read(clone).clone.filter_set
    assert not read(clone).clone.filter_program

    git_filter.set_filter(clone.path, tmp_path / "old venv")
    assert read(clone).clone.filter_program == str(tmp_path / "old venv" / "nbstripout")


def test_an_identity_that_is_not_set(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("user.name", "user.email"):
        git(clone.path, "config", "--unset", name)
    assert read(clone).clone.user_name == ""
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Bob")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "bob@example.org")
    assert (read(clone).clone.user_name, read(clone).clone.user_email) == ("Bob", "bob@example.org")


def test_a_change_from_the_edit_to_the_push(team: Clone) -> None:
    git(team.path, "switch", "--quiet", "--create", "dev-ana", "workshop/integration")
    (team.path / PATH).write_text(notebook("a change"), encoding="utf-8")
    facts = read(team)
    assert facts.clone.modified == {PATH}
    assert facts.clone.changes == ()
    assert facts.clone.remote == str(repository.repository())

    commit = team.commit({})
    facts = read(team)
    assert facts.clone.modified == frozenset()
    assert changes(facts) == {commit: Change(commit, frozenset({PATH}), frozenset({"dev-ana"}))}

    assert team.push("dev-ana").returncode == 0
    assert changes(read(team))[commit].pushed == {"dev-ana"}


def test_a_change_stays_the_participants_after_the_merge_and_that_of_others_does_not_become_theirs(team: Clone) -> None:
    git(team.path, "switch", "--quiet", "--create", "dev-bob")
    theirs = team.commit({PATH: notebook("Bob's")})
    team.push("dev-bob")
    merge(team, "dev-bob", "integration", 1)
    git(team.path, "switch", "--quiet", "--create", "dev-ana", "main")
    mine = team.commit({OTHER: notebook("Ana's")})
    team.push("dev-ana")
    merge(team, "dev-ana", "integration", 2)
    git(team.path, "branch", "--quiet", "-D", "dev-bob")
    git(team.path, "pull", "--quiet", "--no-rebase", "workshop", "integration")

    facts = read(team)

    own = {each for each, change in changes(facts).items() if "dev-ana" in change.local}
    assert own == {mine}
    assert theirs not in own


def test_a_commit_on_main_is_seen_there(team: Clone) -> None:
    commit = team.commit({PATH: notebook("on main")})
    assert changes(read(team))[commit].local == {"main"}


def test_the_notebooks_of_the_tip_and_of_the_folder(team: Clone) -> None:
    team.commit({PATH: notebook("", "dev-ana", output=True), OTHER: "<<<<<<< ours"}, branch="dev-ana")
    (team.path / PATH).unlink()

    found = read(team).clone

    committed = found.committed["dev-ana"]
    assert set(committed) == set(NAMES)
    assert committed[TRAINING] is None
    cell = (committed[PREPARATION] or ())[1]
    assert (cell.tags, cell.heading, cell.has_outputs) == (frozenset({"parameters"}), "Parameters", True)
    assert cell.source.startswith('run_name: str = "dev-ana"')
    assert found.working[PREPARATION] is None


def test_a_branch_from_before_the_team_began(clone: Clone, home: Path) -> None:
    git(clone.path, "branch", "dev-ana")
    clone.commit({"README.md": "newer"})
    repository.start(clone.path)
    assert read(clone).clone.outdated == {"dev-ana"}


@pytest.mark.parametrize(
    ("here", "there", "current", "chosen", "first", "own"),
    [
        ([], [], "main", "", "", set()),
        (["dev-ana"], [], "main", "", "dev-ana", {"dev-ana"}),
        (["dev-ana", "dev-ana-2"], [], "dev-ana-2", "", "dev-ana", {"dev-ana", "dev-ana-2"}),
        (["dev-ana", "dev-anabel"], [], "dev-ana", "", "dev-ana", {"dev-ana"}),
        (["dev-ana", "dev-bob"], [], "dev-bob", "", "dev-bob", {"dev-bob"}),
        (["dev-ana", "dev-bob"], [], "main", "ana", "dev-ana", {"dev-ana"}),
        (["dev-ana"], ["dev-bob"], "dev-ana", "dev-bob", "dev-bob", {"dev-bob"}),
        (["ana"], [], "ana", "", "ana", {"ana"}),
        ([], [], "main", "ana", "dev-ana", set()),
    ],
)
def test_the_participant(  # each column is a part of the situation
    team: Clone, here: list[str], there: list[str], current: str, chosen: str, first: str, own: set[str]
) -> None:
    for branch in here:
        git(team.path, "branch", branch)
    for branch in there:
        team.push(f"HEAD:refs/heads/{branch}")
    git(team.path, "switch", "--quiet", current)
    person = read(team, chosen).person
    assert (person.branch, set(person.branches)) == (first, own)
    assert person.run_names == ({first} if first else set()) | own


def test_two_participants_branches_need_a_choice(team: Clone) -> None:
    for branch in ("dev-ana", "dev-bob"):
        git(team.path, "branch", branch)
    lines = checking.judge(read(team), 1)
    assert {line.finding.state for line in lines} == {"can't tell"}
    assert "dev-ana, dev-bob: choose one with `--as BRANCH`" in lines[0].finding.sentence


def test_a_second_person_of_the_name_keeps_the_branches_that_they_pushed(team: Clone) -> None:
    git(team.path, "config", "user.email", "other.ana@example.org")
    for branch in ("dev-ana", "dev-ana-b"):
        team.commit({PATH: notebook(branch)}, branch=branch)
        team.push(branch)
    git(team.path, "switch", "--quiet", "main")
    git(team.path, "branch", "--quiet", "-D", "dev-ana", "dev-ana-b")
    git(team.path, "config", "user.email", "ana@example.org")
    team.commit({PATH: notebook("mine")}, branch="dev-ana")

    facts = read(team)

    assert facts.person.branches == {"dev-ana"}
    pushed = next(each for each in checking.judge(facts, 3) if each.criterion.id == "pushed")
    assert "has commits of other.ana@example.org: choose another name" in pushed.finding.sentence


def test_outside_of_a_repository_only_what_needs_the_clone_is_untold(team: Clone, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    states = {line.criterion.id: line.finding for line in checking.judge(everything.read(outside, ""))}
    assert states["identity"].state == "can't tell"
    assert states["identity"].sentence == f"{outside} is not in a Git repository: go into your clone of the workshop."
    assert states["tables"].state == "not yet"
    named = {line.criterion.id: line.finding.state for line in checking.judge(everything.read(outside, "ana"))}
    assert named["prepared"] == "not yet"


def test_a_foreign_repository_is_named(tmp_path: Path) -> None:
    foreign = Clone(tmp_path / "foreign", {"a.txt": "b"})
    with pytest.raises(Unseen, match="is not a clone of the workshop"):
        _ = read(foreign).clone


@pytest.mark.parametrize("year", ["1970", "2099"])
def test_a_wrong_clock_changes_nothing(team: Clone, year: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_DATE", f"{year}-01-02T00:00:00Z")
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{year}-01-02T00:00:00Z")
    commit = team.commit({PATH: notebook("a change")}, branch="dev-ana")
    team.push("dev-ana")
    assert changes(read(team))[commit].pushed == {"dev-ana"}


def test_a_detached_head_and_a_repository_without_a_commit(team: Clone, tmp_path: Path) -> None:
    git(team.path, "branch", "dev-ana")
    git(team.path, "switch", "--quiet", "--detach")
    assert (read(team).clone.current, read(team).person.branch) == ("", "dev-ana")
    empty = Clone(tmp_path / "empty", {})
    for name, text in FILES.items():
        (empty.path / name).parent.mkdir(parents=True, exist_ok=True)
        (empty.path / name).write_text(text, encoding="utf-8")
    with pytest.raises(Unseen, match="Git does not work"):
        _ = read(empty).clone


def test_a_wrong_setting_is_named(team: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", "shelf")
    lines = checking.judge(read(team))
    assert {line.finding.state for line in lines} == {"can't tell"}
    assert "WORKSHOP_SLOTS" in lines[0].finding.sentence
