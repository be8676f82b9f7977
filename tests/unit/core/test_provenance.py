import getpass
import platform
import subprocess
from pathlib import Path

import pytest

from workshop.core import provenance
from workshop.core.provenance import find_commit, git_commit, who


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which the kit appears to be installed."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "code.py").write_text("answer = 42\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "code.py")
    git(folder, "commit", "--quiet", "--message=first")
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.integration
def test_the_commit_is_that_of_the_code_with_a_mark_if_tracked_files_differ(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "--annotate", "--message=one", "v1")
    (repository / "untracked.txt").write_text("buy wine\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert find_commit() == (commit, "")
    (repository / "code.py").write_text("answer = 43\n")
    assert git_commit() == f"{commit}-dirty"


@pytest.mark.integration
def test_the_commit_of_a_folder_without_a_repository_is_unknown(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    commit, problem = find_commit()
    assert commit == git_commit() == "unknown"
    assert "`unknown`. Git does not work in" in problem
    assert "not a git repository" in problem


def test_the_commit_without_git_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    commit, problem = find_commit()
    assert (commit, "Git can't be started" in problem) == ("unknown", True)


@pytest.mark.integration
def test_a_surrounding_repository_that_does_not_track_the_code_is_not_used(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = repository / ".venv" / "workshop"
    package.mkdir(parents=True)
    (package / "code.py").write_text("answer = 42\n")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    commit, problem = find_commit()
    assert (commit, "no Git repository tracks" in problem) == ("unknown", True)


@pytest.mark.integration
def test_a_checkout_of_another_owner_is_unknown_with_the_advice_of_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    commit, problem = find_commit()
    assert (commit, f"safe.directory {repository}" in problem) == ("unknown", True)


@pytest.fixture
def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ana runs this on a machine of a known name, without a pipeline."""
    monkeypatch.delenv("BUILD_REQUESTEDFOR", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    monkeypatch.setattr(platform, "node", lambda: "desk")


def test_the_author_is_the_requester_of_the_pipeline_or_else_the_user(
    at_a_desk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_REQUESTEDFOR", "Zoë Müller")
    assert who() == "Zoë Müller"
    monkeypatch.setenv("BUILD_REQUESTEDFOR", "")
    assert who() == "ana@desk"


@pytest.mark.parametrize("error", [OSError("no such user"), KeyError("getpwuid(): uid not found: 12345")])
def test_an_author_without_user_and_machine_name(
    at_a_desk: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr(platform, "node", lambda: "")
    assert who() == "somebody@unknown"


@pytest.mark.parametrize(("named", "known"), [("c0ffee1", True), (f"{'a1' * 20}-dirty", True), ("unknown", False)])
def test_the_commit_of_a_job_on_databricks_is_checked(named: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_GIT_COMMIT", named)
    commit, problem = find_commit()
    assert (commit, problem == "") == (named, known)
    assert known or "WORKSHOP_GIT_COMMIT is not a commit" in problem
