"""Pull requests: policies, tests of merges, and the runs that a merge starts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_devops_local.run_store import Result, Run, Runs
from azure_devops_local.server import merges, pull_requests, repository, run_queue
from azure_devops_local.server.pull_request_record import PullRequest
from kit_common.errors import UserError
from tests.support.team import FILES, Clone, git

CHECK = "workshop_unit_test.yml"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Clone]:
    """A team's repository without an agent, so that a test can set the results of runs."""
    clone = Clone(tmp_path / "clone")
    repository.start(clone.path)
    (repository.repository() / "hooks" / "post-receive").unlink()
    with run_queue.lock("agent"):
        yield clone


def push(team: Clone, branch: str, text: str, file: str = "code/train.py") -> str:
    """Commit a change on the branch (from main where it is new) and push it."""
    known = git(team.path, "branch", "--list", branch).stdout.strip()
    git(team.path, "switch", "--quiet", *([branch] if known else ["--create", branch, "workshop/main"]))
    commit = team.commit({file: text})
    assert team.push(f"+HEAD:{branch}").returncode == 0
    return commit


def end(number: int, result: Result) -> None:
    run = Runs().load(number)
    run.complete(result)
    Runs().save(run)


def tip(ref: str) -> str:
    return git(repository.repository(), "rev-parse", ref).stdout.strip()


def runs_of(pipeline: str) -> list[Run]:
    return [run for run in Runs().all() if run.pipeline == pipeline]


def test_a_merge_is_tested_before_it_happens_and_starts_what_a_push_would(team: Clone) -> None:
    commit, before = push(team, "dev-ana", "1"), tip("integration")
    request, new = pull_requests.create("dev-ana", "integration", "Better  features\n", "Why", "Ana")
    assert (new, request.id, request.title, request.validation_run) == (True, 1, "Better features", 1)
    (test,) = Runs().all()
    assert (test.pipeline, test.branch, test.reason) == (CHECK, "refs/pull/1/merge", "pullRequest")
    assert (test.commit, test.requested_for) == (tip("refs/pull/1/merge"), "Ana")

    with pytest.raises(UserError, match=r"still being tested, by run 1: .*--wait"):
        pull_requests.complete(1, "Ana")
    end(1, "succeeded")
    done, messages = pull_requests.complete(1, "Ana")

    assert (done.status, done.completed_by, done.merge_commit) == ("completed", "Ana", tip("integration"))
    assert git(repository.repository(), "rev-parse", "integration^1", "integration^2").stdout.split() == [
        before,
        commit,
    ]
    assert git(repository.repository(), "log", "-1", "--format=%an: %s", "integration").stdout == (
        "Ana: Merged PR 1: Better features\n"
    )
    (ci,) = runs_of("ci.yml")
    assert (ci.commit, ci.branch, ci.reason, ci.requested_for) == (
        tip("integration"),
        "integration",
        "individualCI",
        "Ana",
    )
    assert any(line.startswith("ci.yml starts (run 2 of ci.yml)") for line in messages)
    assert pull_requests.load(1) == done
    assert runs_of("cd.yml") == []


@pytest.mark.parametrize(("name", "one_person"), [("Bo", False), ("Ana", True)])
def test_main_needs_a_second_person(team: Clone, name: str, one_person: bool) -> None:
    push(team, "dev-ana", "1", "README.md")
    pull_requests.create("dev-ana", "main", "", "", "Ana")
    assert pull_requests.load(1).title == "dev-ana into main"

    with pytest.raises(UserError, match="--one-person"):
        pull_requests.complete(1, " ana")
    pull_requests.complete(1, name, one_person)

    (cd,) = runs_of("cd.yml")
    assert (cd.requested_for, cd.message) == (name, "Merged PR 1: dev-ana into main")


def test_an_open_pull_request_is_not_opened_twice(team: Clone) -> None:
    push(team, "dev-ana", "1")
    pull_requests.create("dev-ana", "integration", "One", "first", "Ana")

    again, new = pull_requests.create("dev-ana", "integration", "Two", "second", "Bo")

    assert (again.id, new, again.title, again.description, again.author) == (1, False, "One", "second", "Ana")
    assert pull_requests.create("dev-ana", "integration", "", "", "Bo")[0].description == "second"
    assert pull_requests.create("dev-ana", "main", "Three", "", "Ana")[0].id == 2
    assert len(pull_requests.every()) == 2


def test_after_an_abandoned_pull_request_a_new_one_can_be_opened(team: Clone) -> None:
    push(team, "dev-ana", "1")
    pull_requests.create("dev-ana", "integration", "One", "", "Ana")
    pull_requests.abandon(1)

    for action in (
        pull_requests.abandon,
        pull_requests.validation,
        lambda number: pull_requests.complete(number, "Bo"),
    ):
        with pytest.raises(UserError, match="is abandoned already"):
            action(1)
    assert pull_requests.create("dev-ana", "integration", "Two", "", "Ana")[0].id == 2


def test_a_merge_needs_two_branches_and_a_difference(team: Clone) -> None:
    with pytest.raises(UserError, match="no branch dev-ana"):
        pull_requests.create("dev-ana", "integration", "", "", "Ana")
    push(team, "dev-ana", "1")
    with pytest.raises(UserError, match="no branch production"):
        pull_requests.create("dev-ana", "production", "", "", "Ana")
    for trick in ("dev-ana~1", "dev-ana^{commit}", "../heads/dev-ana", "--all", "x$(touch pwned)", "", "@"):
        with pytest.raises(UserError, match="There is no branch"):
            pull_requests.create(trick, "integration", "", "", "Ana")
    with pytest.raises(UserError, match="nothing to merge"):
        pull_requests.create("integration", "main", "", "", "Ana")
    assert pull_requests.every() == []


def test_before_anything_was_started() -> None:
    with pytest.raises(UserError, match="workshop devops start"):
        pull_requests.create("a", "b", "", "", "Ana")
    assert pull_requests.every() == []
    with pytest.raises(UserError, match="no pull request 3"):
        pull_requests.load(3)


def test_branches_with_conflicts_are_not_merged(team: Clone) -> None:
    push(team, "dev-ana", "1\n", "README.md")
    push(team, "dev-bo", "2\n", "README.md")
    pull_requests.create("dev-bo", "integration", "Bo's", "", "Bo")
    pull_requests.create("dev-ana", "integration", "Ana's", "", "Ana")
    pull_requests.complete(2, "Ana")

    with pytest.raises(UserError, match="change the same lines: merge integration into dev-bo"):
        pull_requests.complete(1, "Bo")
    assert pull_requests.load(1).status == "active"


def test_an_old_git_is_named(team: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    push(team, "dev-ana", "1")
    monkeypatch.setattr(merges, "MERGE_TREE_SINCE", (99, 0))

    with pytest.raises(UserError, match=r"Git 99\.0 or newer"):
        pull_requests.create("dev-ana", "integration", "", "", "Ana")


def test_other_paths_need_no_test(team: Clone) -> None:
    push(team, "dev-ana", "words", "README.md")

    request, _ = pull_requests.create("dev-ana", "integration", "", "", "Ana")

    assert (request.validation_run, Runs().all()) == (0, [])
    assert pull_requests.validation(1).state == "not needed"


@pytest.mark.parametrize("name", ["", CHECK.replace(".yml", ".yaml")])
def test_the_test_may_be_missing_or_end_in_yaml(tmp_path: Path, name: str) -> None:
    files = {f".azure_pipelines/{name}": FILES[f".azure_pipelines/{CHECK}"]} if name else {"README.md": "1"}
    clone = Clone(tmp_path / "clone", files)
    repository.start(clone.path)
    (repository.repository() / "hooks" / "post-receive").unlink()
    with run_queue.lock("agent"):
        push(clone, "dev-ana", "1")
        pull_requests.create("dev-ana", "integration", "", "", "Ana")
        assert [run.pipeline for run in Runs().all()] == ([name] if name else [])


def test_files_that_were_tested_already_are_not_tested_again(team: Clone) -> None:
    commit = push(team, "dev-ana", "1")
    repository.received([f"{'0' * 40} {commit} refs/heads/dev-ana"])
    end(1, "succeeded")

    pull_requests.create("dev-ana", "integration", "", "", "Ana")

    assert pull_requests.validation(1).run == 1
    assert pull_requests.complete(1, "Ana")[0].status == "completed"
    assert len(runs_of(CHECK)) == 1


def test_a_failed_test_blocks_the_merge_until_one_succeeds(team: Clone) -> None:
    push(team, "dev-ana", "1")
    pull_requests.create("dev-ana", "integration", "", "", "Ana")
    end(1, "failed")

    with pytest.raises(UserError, match=r"failed in run 1: .* `workshop devops rerun 1`"):
        pull_requests.complete(1, "Ana")
    run_queue.rerun(1, "Ana")
    assert pull_requests.validation(1).run == 2
    end(2, "succeeded")

    assert pull_requests.complete(1, "Ana")[0].status == "completed"


@pytest.mark.parametrize("moved", ["source", "target"])
def test_a_branch_that_moves_needs_a_new_test(team: Clone, moved: str) -> None:
    push(team, "dev-ana", "1")
    push(team, "dev-bo", "2", "code/other.py")
    pull_requests.create("dev-ana", "integration", "", "", "Ana")
    end(1, "succeeded")
    if moved == "source":
        push(team, "dev-ana", "3")
    else:
        git(repository.repository(), "update-ref", "refs/heads/integration", tip("dev-bo"))

    with pytest.raises(UserError, match="still being tested, by run 2"):
        pull_requests.complete(1, "Ana")
    end(2, "succeeded")
    pull_requests.complete(1, "Ana")

    assert git(repository.repository(), "rev-parse", "integration^2").stdout.strip() == tip("dev-ana")


def test_a_push_to_the_source_starts_the_next_test(team: Clone) -> None:
    push(team, "dev-ana", "1")
    pull_requests.create("dev-ana", "integration", "", "", "Ana")
    push(team, "dev-ana", "2")

    (messages,) = pull_requests.source_moved(["dev-ana", "dev-bo"])

    assert "waiting" in messages
    assert [run.number for run in runs_of(CHECK)] == [1, 2]
    assert pull_requests.load(1).validation_run == 2
    team.push(":dev-ana")
    assert "There is no branch dev-ana" in pull_requests.source_moved(["dev-ana"])[0]


def test_a_target_that_moves_at_the_last_moment(team: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    push(team, "dev-ana", "1", "README.md")
    other = push(team, "dev-bo", "2", "other.md")
    pull_requests.create("dev-ana", "integration", "", "", "Ana")
    checked = pull_requests._require_success

    def then_another_merge(request: PullRequest, found: pull_requests.Validation) -> None:
        checked(request, found)
        git(repository.repository(), "update-ref", "refs/heads/integration", other)

    monkeypatch.setattr(pull_requests, "_require_success", then_another_merge)
    with pytest.raises(UserError, match="integration has just been changed"):
        pull_requests.complete(1, "Ana")

    assert tip("integration") == other
    assert (pull_requests.load(1).status, runs_of("ci.yml")) == ("active", [])


def test_a_crash_after_the_merge_is_repaired(team: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    push(team, "dev-ana", "1", "README.md")
    pull_requests.create("dev-ana", "integration", "", "", "Ana")
    with monkeypatch.context() as crash:
        crash.setattr(repository, "received", lambda *_: sys.exit(9))
        with pytest.raises(SystemExit):
            pull_requests.complete(1, "Ana")
    merged = tip("integration")

    done, _ = pull_requests.complete(1, "Ana")

    assert (done.status, done.merge_commit, tip("integration")) == ("completed", merged, merged)
    assert [run.commit for run in runs_of("ci.yml")] == [merged]


@pytest.mark.parametrize("name", ["<>", "Ana <ana@example.org>\nX", "…", "$(touch pwned)"])
def test_an_author_may_have_any_name(team: Clone, name: str) -> None:
    push(team, "dev-ana", "1", "README.md")
    request, _ = pull_requests.create("dev-ana", "integration", "$(touch pwned)", "`x`", name)

    pull_requests.complete(1, "Bo")

    assert request.author == name
    assert git(repository.repository(), "log", "-1", "--format=%ae", "integration").stdout == "workshop@localhost\n"
    assert not (Path.cwd() / "pwned").exists()


def test_a_damaged_record_blocks_no_other_and_keeps_its_number(team: Clone) -> None:
    team.commit({"code/train.py": "print('again')\n"}, branch="dev-ana")
    team.push("dev-ana")
    folder = repository.folder() / "pull_requests"
    folder.mkdir(exist_ok=True)
    (folder / "1.json").write_text('{"id":')
    (folder / "abc.json").write_text("{}")
    assert pull_requests.every() == []
    request, new = pull_requests.create("dev-ana", "integration", "", "", "Ana")
    assert (request.id, new) == (2, True)
    assert [each.id for each in pull_requests.every()] == [2]
    with pytest.raises(UserError, match=r"1\.json is damaged"):
        pull_requests.load(1)
