"""The changed files of a push, and the names of branches."""

import os
import subprocess
from pathlib import Path

import pytest

from azure_devops_local.server.changes import changed_files, check_branch, head_message, pushed_messages, top_level
from kit_common.errors import UsageError, UserError
from tests.support.team import Clone, git

ZEROS = "0" * 40


class Repository(Clone):
    """A checkout whose commits append a line to files."""

    def git(self, *arguments: str) -> str:
        return git(self.path, *arguments).stdout.strip()

    def change(self, *paths: str, message: str = "a change") -> str:
        files = {path: self.path / path for path in paths}
        texts = {path: file.read_text(encoding="utf-8") if file.is_file() else "" for path, file in files.items()}
        return self.commit({path: f"{text}{message}\n" for path, text in texts.items()}, message)

    def changed(self, old: str, new: str, branch: str) -> list[str]:
        return changed_files(self.path, old, new, f"refs/heads/{branch}")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "clone", {})


def test_the_first_push_of_all_changed_every_file(repository: Repository) -> None:
    repository.change("a.py", "gone.py")
    (repository.path / "gone.py").unlink()
    head = repository.change("docs/b.md")
    assert repository.changed(ZEROS, head, "main") == ["a.py", "docs/b.md"]


def test_an_update_changed_the_files_that_differ(repository: Repository) -> None:
    old = repository.change("a.py", "b.py", "gone.py")
    repository.change("b.py")
    repository.change("brief.py")
    for path in ("gone.py", "brief.py"):
        (repository.path / path).unlink()
    new = repository.change("deep/er/c.py")
    assert repository.changed(old, new, "main") == ["b.py", "deep/er/c.py", "gone.py"]


def test_a_renamed_file_changed_under_both_names(repository: Repository) -> None:
    old = repository.change("a.py")
    repository.git("config", "diff.renames", "copies")
    repository.git("mv", "a.py", "b.py")
    assert repository.changed(old, repository.change(), "main") == ["a.py", "b.py"]


def test_a_force_push_changed_the_files_that_differ(repository: Repository) -> None:
    base = repository.change("a.py")
    old = repository.change("b.py")
    repository.git("reset", "-q", "--hard", base)
    assert repository.changed(old, repository.change("c.py"), "main") == ["b.py", "c.py"]


def test_a_merge_changed_the_files_that_it_brings(repository: Repository) -> None:
    repository.change("a.py")
    repository.git("checkout", "-q", "-b", "dev")
    repository.change("dev.py")
    repository.git("checkout", "-q", "main")
    old = repository.change("main.py")
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "dev")
    assert repository.changed(old, repository.git("rev-parse", "HEAD"), "main") == ["dev.py"]


def test_a_new_branch_changed_the_files_of_its_own_commits(repository: Repository) -> None:
    repository.change("a.py")
    repository.git("checkout", "-q", "-b", "dev")
    assert repository.changed(ZEROS, repository.git("rev-parse", "HEAD"), "dev") == []
    repository.change("b.py")
    repository.git("mv", "a.py", "c.py")
    head = repository.change()
    repository.git("checkout", "-q", "main")
    repository.change("d.py")
    assert repository.changed(ZEROS, head, "dev") == ["a.py", "b.py", "c.py"]


def test_a_new_branch_did_not_change_the_files_that_it_merged_from_main(repository: Repository) -> None:
    repository.change("a.py", "both.py")
    repository.git("checkout", "-q", "-b", "dev")
    repository.change("both.py", "dev.py", message="dev")
    repository.git("checkout", "-q", "main")
    repository.change("both.py", "main.py", message="main")
    repository.git("checkout", "-q", "dev")
    with pytest.raises(subprocess.CalledProcessError):  # a conflict, which the commit settles
        repository.git("merge", "-q", "main")
    head = repository.change("both.py", message="by hand")
    assert len(repository.git("rev-parse", f"{head}^@").splitlines()) == 2
    assert repository.changed(ZEROS, head, "dev") == ["both.py", "dev.py"]


def test_a_new_branch_without_common_history_changed_all_its_files(repository: Repository) -> None:
    repository.change("a.py")
    repository.git("config", "log.showRoot", "false")
    repository.git("checkout", "-q", "--orphan", "fresh")
    repository.git("rm", "-q", "-f", "a.py")
    assert repository.changed(ZEROS, repository.change("b.py"), "fresh") == ["b.py"]


@pytest.mark.parametrize("other", ["dev-ana", "de", "x/dev", "dev.2"])
def test_branches_with_similar_names_count_as_other_branches(repository: Repository, other: str) -> None:
    repository.change("a.py")
    repository.git("checkout", "-q", "-b", "dev")
    head = repository.change("b.py")
    assert repository.changed(ZEROS, head, "dev") == ["b.py"]
    repository.git("branch", other)
    assert repository.changed(ZEROS, head, "dev") == []


def test_a_deleted_branch_and_a_push_of_nothing_changed_nothing(repository: Repository) -> None:
    head = repository.change("a.py")
    assert repository.changed(head, ZEROS, "main") == []
    assert repository.changed(head, repository.change(), "main") == []


def test_a_tag_on_a_commit_of_a_branch_changed_nothing(repository: Repository) -> None:
    head = repository.change("a.py")
    repository.git("tag", "-a", "v1", "-m", "version 1")
    assert changed_files(repository.path, ZEROS, repository.git("rev-parse", "v1"), "refs/tags/v1") == []
    assert head_message(repository.path, "v1") == head_message(repository.path, head)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_are_not_quoted(repository: Repository) -> None:
    old = repository.change("a.py")
    names = ['q"uote.py', "new\nline.py", "wärme.py", "$(touch pwned)", "-x", "a;b", os.fsdecode(b"\xff.py")]
    assert repository.changed(old, repository.change(*names), "main") == sorted(names)


def test_the_message_is_whole(repository: Repository) -> None:
    head = repository.change("a.py", message="Wärme\n\nLong text, [skip ci]\n\nlast")
    assert head_message(repository.path, head) == "Wärme\n\nLong text, [skip ci]\n\nlast"


def test_the_messages_of_a_push_are_those_of_its_own_commits(repository: Repository) -> None:
    begun = repository.change("a.py", message="begin [skip ci]")
    repository.git("switch", "--quiet", "--create", "dev")
    first = repository.change("a.py", message="first [skip ci]\n\nwhy")
    second = repository.change("b.py", message="second")
    assert pushed_messages(repository.path, begun, second, "refs/heads/dev") == ["second", "first [skip ci]\n\nwhy"]
    assert pushed_messages(repository.path, first, second, "refs/heads/dev") == ["second"]
    assert pushed_messages(repository.path, "0" * 40, second, "refs/heads/dev")[1:] == ["first [skip ci]\n\nwhy"]
    # A branch that has only commits of another one: its newest commit counts.
    repository.git("branch", "other")
    assert pushed_messages(repository.path, begun, second, "refs/heads/other") == ["second"]
    # A merge of what another branch has brings no messages but its own.
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "Merged", "dev")
    head = repository.git("rev-parse", "HEAD")
    assert pushed_messages(repository.path, begun, head, "refs/heads/main") == ["Merged"]


def test_a_signature_is_not_taken_for_the_message(repository: Repository) -> None:
    written = repository.git("cat-file", "commit", repository.change("a.py", message="signed"))
    signature = "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n"
    signed = repository.path.parent / "signed"
    signed.write_text(written.replace("\n\n", f"\n{signature}\n", 1) + "\n", encoding="utf-8")
    head = repository.git("hash-object", "-t", "commit", "-w", str(signed))
    repository.git("config", "log.showSignature", "true")
    assert head_message(repository.path, head) == "signed"
    repository.git("branch", "dev", head)
    assert repository.changed(ZEROS, head, "dev") == ["a.py"]


@pytest.mark.parametrize("name", ["f" * 40, "--help", "--output=pwned"])
def test_a_missing_commit_is_one_sentence(repository: Repository, name: str) -> None:
    head = repository.change("a.py")
    for ask in (
        lambda: head_message(repository.path, name),
        lambda: repository.changed(name, head, "main"),
        lambda: repository.changed(ZEROS, name, "main"),
        lambda: repository.changed(ZEROS, name, "dev"),
    ):
        with pytest.raises(UserError, match="Git can't read") as refused:
            ask()
        assert "\n" not in str(refused.value)
    assert {path.name for path in repository.path.iterdir()} == {".git", "a.py"}


def test_the_checkout_is_found_from_a_folder_in_it_and_nowhere_else(repository: Repository, tmp_path: Path) -> None:
    repository.change("deep/a.py")
    assert top_level(repository.path / "deep") == repository.path
    with pytest.raises(UserError, match="is not in a Git checkout: go to"):
        top_level(tmp_path)


@pytest.mark.parametrize(
    "name", ["main", "dev-ana", "a/b.c", "x$(touch${IFS}pwned)", "wärme", "refs/heads/main", "{x}"]
)
def test_names_that_git_allows_are_branches(name: str) -> None:
    assert check_branch(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a; rm -rf b", "../../x", "-x", "--help", "-h", "@{-1}", "HEAD", "a..b", "a.lock", "/a", "a/", "a\nb", "a:b"],
)
def test_names_that_git_does_not_allow_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid branch name for Git") as refused:
        check_branch(name)
    assert "\n" not in str(refused.value)


def test_the_previous_branch_is_not_a_name(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.change("a.py")
    repository.git("checkout", "-q", "-b", "dev")
    monkeypatch.chdir(repository.path)
    with pytest.raises(UsageError):
        check_branch("@{-1}")
