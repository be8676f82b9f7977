"""The team's repository under the Git settings and variables of a person."""

from pathlib import Path

import pytest

from azure_devops_local.server import repository
from kit_common.errors import UserError
from kit_common.git import ask
from tests.support.team import Clone, git

pytestmark = pytest.mark.usefixtures("no_agent")

SETTINGS = """\
[core]
    hooksPath = {elsewhere}
    fsmonitor = /bin/false
    autocrlf = true
[safe]
    bareRepository = explicit
[init]
    templateDir = {elsewhere}
    defaultBranch = trunk
    defaultObjectFormat = sha256
[commit]
    gpgsign = true
[gpg]
    program = /bin/false
[push]
    pushOption = ci.skip
    followTags = true
    default = nothing
    recurseSubmodules = only
[receive]
    denyDeletes = true
    denyNonFastForwards = true
    maxInputSize = 1
[fetch]
    recurseSubmodules = true
[workshop]
    directPush = true
"""


@pytest.fixture
def settings_of_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a Git configuration that would disable the team's rules, or break the kit."""
    file = tmp_path / "gitconfig"
    (tmp_path / "elsewhere").mkdir()
    file.write_text(SETTINGS.format(elsewhere=tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    return file


def test_a_user_s_settings_do_not_change_the_rules(clone: Clone, settings_of_user: Path) -> None:
    repository.start(clone.path)
    git(clone.path, "config", "push.recurseSubmodules", "no")
    clone.commit({"code/train.py": "1"}, branch="dev-ana")

    done = clone.push("HEAD:main")

    assert (done.returncode, "main takes pull requests only" in done.stderr) == (1, True)
    done = clone.push("dev-ana")
    assert (done.returncode, "workshop_unit_test.yml starts" in done.stderr) == (0, True), done.stderr
    git(clone.path, "commit", "--quiet", "--amend", "--message=again")
    assert clone.push("--force", "dev-ana").returncode == 0
    assert clone.push("--delete", "dev-ana").returncode == 0


@pytest.mark.parametrize(
    "setting",
    [
        '[protocol "file"]\n\tallow = never\n',
        "[protocol]\n\tallow = never\n",
        "[push]\n\tgpgSign = true\n",
        "[push]\n\trecurseSubmodules = only\n",
        "[push]\n\tdefault = nothing\n",
        "[fetch]\n\tprune = true\n\tpruneTags = true\n",
    ],
)
def test_a_user_s_transfer_settings_do_not_prevent_the_start(
    setting: str, clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gitconfig"
    file.write_text(setting)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    assert repository.start(clone.path)
    assert (
        ask(repository.repository(), "rev-parse", "main")
        == ask(clone.path, "rev-parse", "workshop/main")
        == clone.head()
    )
    ask(tmp_path, "clone", "--quiet", "--shared", str(repository.repository()), "sources")
    assert ask(tmp_path / "sources", "rev-parse", "HEAD") == clone.head()


def test_a_repository_of_an_older_kit_gets_the_rules_at_the_next_start(clone: Clone, settings_of_user: Path) -> None:
    repository.start(clone.path)
    ask(repository.repository(), "config", "--unset", "core.hooksPath")
    repository.start(clone.path)
    assert clone.push("--no-recurse-submodules", "HEAD:refs/pull/1/merge").returncode == 1


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"])
def test_start_from_a_hook_of_a_linked_work_tree(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tree = tmp_path / "tree"
    git(clone.path, "worktree", "add", "--quiet", str(tree), "-b", "dev-ana")
    with monkeypatch.context() as hook:
        hook.setenv(name, str(clone.path / ".git"))
        assert repository.start(tree)
    assert git(clone.path, "config", "core.bare").stdout.strip() == "false"
    assert git(repository.repository(), "rev-parse", "main").stdout.strip() == clone.head()


def test_start_in_a_checkout_of_another_owner_gives_git_s_advice(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match=r"dubious ownership.*--add safe\.directory"):
        repository.start(clone.path)
