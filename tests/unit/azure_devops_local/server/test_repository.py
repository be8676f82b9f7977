"""The team's repository: its creation, its rules, and the runs that a push starts."""

import re
from pathlib import Path

import pytest

from azure_devops_local.run_store import Runs
from azure_devops_local.server import repository, run_queue
from kit_common.errors import UserError
from tests.support.team import FILES, UNIT, Clone, git

pytestmark = pytest.mark.usefixtures("no_agent")

ZEROS = "0" * 40


@pytest.fixture
def team(clone: Clone) -> Clone:
    """The clone, after `devops start`, with the hook of a push left out: the tests call what it calls."""
    repository.start(clone.path)
    (repository.repository() / "hooks" / "post-receive").unlink()
    return clone


def pushed(team: Clone, branch: str, *arguments: str) -> list[str]:
    """Push what is checked out, and do what the hook does."""
    ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    old = git(repository.repository(), "rev-parse", "--verify", "--quiet", ref, check=False).stdout.strip() or ZEROS
    done = team.push(*arguments, f"HEAD:{ref}")
    assert done.returncode == 0, done.stderr
    return repository.received([f"{old} {git(repository.repository(), 'rev-parse', ref).stdout.strip()} {ref}"])


def queued() -> list[tuple[str, str, str]]:
    return [(run.pipeline, run.branch, run.reason) for run in Runs().all()]


def test_start_makes_a_repository_with_both_branches_and_a_remote(clone: Clone, home: Path) -> None:
    (clone.path / "deep").mkdir()

    assert repository.start(clone.path / "deep")

    for branch in ("main", "integration"):
        assert git(repository.repository(), "rev-parse", f"refs/heads/{branch}").stdout.strip() == clone.head()
    assert git(clone.path, "remote", "get-url", "workshop").stdout.strip() == str(home / "devops" / "repository.git")
    assert git(clone.path, "rev-parse", "workshop/integration").stdout.strip() == clone.head()
    assert repository.rules().approvals


def test_start_again_keeps_the_branches_and_repairs_the_rest(clone: Clone) -> None:
    repository.start(clone.path)
    before = clone.head()
    clone.commit({"code/train.py": "new"})
    git(clone.path, "remote", "remove", "workshop")
    (repository.repository() / "hooks" / "post-receive").unlink()

    assert not repository.start(clone.path, approvals=False)

    assert git(repository.repository(), "rev-parse", "main").stdout.strip() == before
    assert (repository.repository() / "hooks" / "post-receive").stat().st_mode & 0o111
    assert git(clone.path, "remote").stdout.split() == ["workshop"]
    assert not repository.rules().approvals


def test_start_after_a_crash_in_the_middle_of_it(clone: Clone) -> None:
    half = repository.folder() / "repository.partial"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("rubbish", encoding="utf-8")

    assert repository.start(clone.path)

    assert git(repository.repository(), "rev-parse", "main").stdout.strip() == clone.head()


def test_start_from_a_shallow_clone(clone: Clone, tmp_path: Path) -> None:
    clone.commit({"code/train.py": "new"})
    git(tmp_path, "clone", "--quiet", "--depth=1", clone.path.as_uri(), "shallow")

    repository.start(tmp_path / "shallow")

    assert git(repository.repository(), "rev-parse", "integration").stdout.strip() == clone.head()


def test_start_needs_a_clone_with_a_commit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a clone"):
        repository.start(tmp_path)
    with pytest.raises(UserError, match="no commit yet"):
        repository.start(Clone(tmp_path / "empty", {}).path)
    with pytest.raises(UserError, match="devops start"):
        repository.repository()


def test_start_keeps_a_remote_with_another_address(clone: Clone, tmp_path: Path) -> None:
    git(clone.path, "remote", "add", "workshop", "https://example.org/team.git")

    with pytest.raises(UserError, match=r"leads to https://example\.org"):
        repository.start(clone.path)

    assert git(clone.path, "remote", "get-url", "workshop").stdout.strip() == "https://example.org/team.git"
    assert not (repository.folder() / "repository.git").exists()


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("HEAD:main", "main takes pull requests only"),
        ("HEAD:integration", "integration takes pull requests only"),
        ("+HEAD:integration", "integration takes pull requests only"),
        (":integration", "integration can't be deleted"),
        ("HEAD:refs/pull/1/merge", "refs/pull/ belongs to the pull requests"),
    ],
)
def test_a_push_that_breaks_a_rule_is_refused(team: Clone, ref: str, message: str) -> None:
    before = git(repository.repository(), "show-ref").stdout
    team.commit({"code/train.py": "new"})

    done = team.push(ref)

    assert done.returncode != 0
    assert message in done.stderr
    assert git(repository.repository(), "show-ref").stdout == before


@pytest.mark.parametrize("setting", [None, "false"])
def test_direct_pushes_can_be_allowed_and_forbidden_again(clone: Clone, setting: str | None) -> None:
    repository.start(clone.path, direct_push=True)
    (repository.repository() / "hooks" / "post-receive").unlink()
    clone.commit({"code/train.py": "new"})
    assert clone.push("HEAD:main").returncode == 0
    assert clone.push(":integration").returncode != 0

    if setting:
        git(repository.repository(), "config", "workshop.directPush", setting)
    else:
        repository.start(clone.path)

    assert clone.push("HEAD:integration").returncode != 0


@pytest.mark.integration
def test_a_real_push_prints_the_runs_that_it_starts(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "it's a $(touch pwned) home"
    monkeypatch.setenv("WORKSHOP_HOME", str(odd))
    repository.start(clone.path)
    branch = "x$(touch${IFS}pwned)"
    clone.commit({"code/train.py": "new"}, branch=branch)

    with run_queue.lock("agent"):
        done = clone.push()

    assert done.returncode == 0, done.stderr
    messages = re.findall(r"remote: (.*?) *\n", done.stderr)
    assert f"workshop_unit_test.yml starts (run 1 of workshop_unit_test.yml): the branch {branch}" in messages[-1]
    (run,) = Runs().all()
    assert (run.branch, run.commit, run.state, run.requested_for) == (branch, clone.head(), "queued", "Ana")
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("path", "message", "reason"),
    [
        ("README.md", "change", "is not included by"),
        ("code/train.py", "tidy up\n\nno need to test [skip ci]", "[skip ci]"),
    ],
)
def test_a_push_that_starts_nothing_gets_the_reason(team: Clone, path: str, message: str, reason: str) -> None:
    team.commit({path: "1"}, message, branch="dev-ana")

    messages = pushed(team, "dev-ana")

    assert queued() == []
    assert any(line.startswith("workshop_unit_test.yml does not start: ") and reason in line for line in messages)


def test_a_mark_in_an_earlier_commit_of_the_push_counts_only_for_this_push(team: Clone) -> None:
    team.commit({"code/train.py": "1"}, "first ***NO_CI***", branch="dev-ana")
    team.commit({"code/train.py": "2"}, "second")
    messages = pushed(team, "dev-ana")
    assert queued() == []
    assert any("contains ***NO_CI***" in line for line in messages)

    team.commit({"code/train.py": "3"}, "third")
    pushed(team, "dev-ana")
    assert queued() == [("workshop_unit_test.yml", "dev-ana", "individualCI")]


@pytest.mark.parametrize(
    ("new", "ref", "message"),
    [
        (ZEROS, "refs/heads/dev-ana", "dev-ana was deleted: nothing starts."),
        ("main:code/train.py", "refs/tags/odd", "refs/tags/odd is not a commit: nothing starts."),
        ("main", "refs/notes/commits", "refs/notes/commits is neither a branch nor a tag: nothing starts."),
        ("main", "refs/tags/v1", "cd.yml does not start: "),
    ],
)
def test_a_deletion_a_tag_or_another_ref_starts_nothing(team: Clone, new: str, ref: str, message: str) -> None:
    new = new if new == ZEROS else git(repository.repository(), "rev-parse", new).stdout.strip()

    assert repository.received([f"{ZEROS} {new} {ref}"])[0].startswith(message)
    assert queued() == []


def test_batched_pushes_share_the_run_that_still_waits(tmp_path: Path) -> None:
    batched = UNIT.replace("trigger:\n", "trigger:\n  batch: true\n")
    team = Clone(tmp_path / "clone", {**FILES, ".azure_pipelines/workshop_unit_test.yml": batched})
    repository.start(team.path)
    (repository.repository() / "hooks" / "post-receive").unlink()
    team.commit({"code/train.py": "1"}, branch="dev-ana")
    pushed(team, "dev-ana")
    run_queue.begin(1)
    run_queue.rerun(1, "Ana")  # a run that a person starts is not one of the batch
    team.commit({"code/train.py": "2"})
    pushed(team, "dev-ana")
    newest = team.commit({"code/train.py": "3"})
    pushed(team, "dev-ana")
    pushed(team, "dev-bo")  # another branch never shares

    assert [(run.number, run.branch, run.reason) for run in Runs().all()] == [
        (1, "dev-ana", "batchedCI"),
        (2, "dev-ana", "manual"),
        (3, "dev-ana", "batchedCI"),
    ]
    assert Runs().load(3).commit == newest


def test_a_push_may_change_ten_thousand_files(team: Clone) -> None:
    team.commit({f"code/{number}.txt": "" for number in range(10_000)}, branch="dev-ana")
    pushed(team, "dev-ana")
    assert queued() == [("workshop_unit_test.yml", "dev-ana", "individualCI")]


def test_an_invalid_pipeline_file_is_a_failed_run(team: Clone) -> None:
    team.commit({".azure_pipelines/cd.yml": "trigger: ["}, branch="dev-ana")

    messages = pushed(team, "dev-ana")

    (run,) = [run for run in Runs().all() if run.pipeline == "cd.yml"]
    assert (run.state, run.result) == ("completed", "failed")
    assert run.problem.startswith(".azure_pipelines/cd.yml, line ")
    assert any(line.startswith("cd.yml can't be run") for line in messages)


def test_a_repository_without_pipelines(tmp_path: Path) -> None:
    team = Clone(tmp_path / "clone", {"README.md": "message"})
    repository.start(team.path)

    assert repository.received([f"{ZEROS} {team.head()} refs/heads/dev"]) == [
        "There are no pipelines on dev: nothing starts."
    ]


def test_the_user_is_the_given_name_or_that_of_git(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert repository.person(clone.path, "") == "Ana"
    assert repository.person(clone.path, " Bo ") == "Bo"
    with pytest.raises(UserError, match="--as NAME"):
        repository.person(tmp_path, "")
