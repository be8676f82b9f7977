from pathlib import Path

import pytest

from kit_common import git
from kit_common.errors import UserError
from tests.support import laptop


def test_what_git_prints_without_its_last_line_end(tmp_path: Path) -> None:
    place = laptop.repository(tmp_path / "repository")
    assert git.ask(place, "rev-parse", "--is-inside-work-tree") == "true"
    assert git.ask(place, "hash-object", "--stdin", given="ä\n") == git.ask(
        place, "hash-object", "--stdin", given="ä\n"
    )
    assert git.ask(place, "var", "GIT_AUTHOR_IDENT", GIT_AUTHOR_NAME="Bo", GIT_AUTHOR_EMAIL="b@c").startswith(
        "Bo <b@c>"
    )


def test_where_git_refuses_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`git log` failed: .*not a git repository"):
        git.ask(tmp_path, "log")
    assert git.run(tmp_path, "log").returncode != 0
