"""Git commands, whatever the environment and the user's settings are."""

import subprocess
from pathlib import Path

import pytest

from kit_common import git
from kit_common.errors import UserError
from tests.support.team import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration file, empty at first."""
    file = tmp_path / "gitconfig"
    file.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    return file


def answer(place: Path, *arguments: str) -> str:
    done = git.run(place, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def test_every_variable_that_git_calls_local_is_dropped() -> None:
    listed = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    assert git.environment(dict.fromkeys(listed.stdout.split(), "x")) == {}


@pytest.mark.parametrize("name", ["GIT_NAMESPACE", "GIT_QUARANTINE_PATH", "GIT_CONFIG_KEY_0", "GIT_TRACE"])
def test_a_variable_that_changes_commands_is_dropped(name: str) -> None:
    assert git.environment({name: "x"}) == {}


@pytest.mark.parametrize("name", ["GIT_AUTHOR_NAME", "GIT_CONFIG_GLOBAL", "GIT_SSH_COMMAND", "GIT_CEILING_DIRECTORIES"])
def test_a_variable_of_the_user_stays(name: str) -> None:
    assert git.environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"]
)
def test_a_command_works_on_the_repository_that_it_names(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert git.top_level(clone.path) == clone.path
    assert answer(clone.path, "status", "--porcelain") == ""


def test_a_bare_repository_works_where_it_must_be_explicit(tmp_path: Path, settings: Path) -> None:
    settings.write_text("[safe]\n\tbareRepository = explicit\n")
    (tmp_path / "bare.git").mkdir()
    answer(tmp_path / "bare.git", "init", "--quiet", "--bare")
    assert answer(tmp_path / "bare.git", "rev-parse", "--is-bare-repository") == "true"


def test_the_users_programs_do_not_run(clone: Clone, tmp_path: Path, settings: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    settings.write_text(f"[core]\n\tfsmonitor = {program}\n")
    answer(clone.path, "status", "--porcelain")
    assert not (tmp_path / "ran").exists()


def test_an_archive_has_the_bytes_of_the_commit(clone: Clone, settings: Path) -> None:
    settings.write_text("[core]\n\tautocrlf = true\n")
    assert b"\r\n" not in git.run(clone.path, "archive", "--format=tar", "HEAD").stdout


def test_a_folder_of_another_owner_is_refused_with_gits_advice(
    clone: Clone, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    advice = rf"dubious ownership.* run `git config --global --add safe\.directory {clone.path}`"
    with pytest.raises(UserError, match=advice):
        git.top_level(clone.path)
    settings.write_text(f"[safe]\n\tdirectory = {clone.path}\n")
    assert git.top_level(clone.path) == clone.path


def test_trust_in_environment_variables_is_respected(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert git.top_level(clone.path) == clone.path


def test_a_work_tree_without_its_repository_is_refused_with_gits_reason(clone: Clone, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    answer(clone.path, "worktree", "add", "--quiet", str(tree), "-b", "dev")
    assert git.top_level(tree) == tree
    clone.path.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"not a git repository: .*worktrees"):
        git.top_level(tree)


def test_a_missing_git_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"Git can't be started .*: install it, or correct PATH"):
        git.run(tmp_path, "version")


def test_ask_returns_the_output_or_gits_reason(clone: Clone, tmp_path: Path) -> None:
    assert git.ask(clone.path, "rev-parse", "--is-inside-work-tree") == "true"
    blob = git.ask(clone.path, "hash-object", "-w", "--stdin", given="ä\n")
    assert git.ask(clone.path, "cat-file", "blob", blob) == "ä"
    author = git.ask(clone.path, "var", "GIT_AUTHOR_IDENT", GIT_AUTHOR_NAME="Bo", GIT_AUTHOR_EMAIL="b@c")
    assert author.startswith("Bo <b@c>")
    with pytest.raises(UserError, match=r"`git log` failed: .*not a git repository"):
        git.ask(tmp_path, "log")
