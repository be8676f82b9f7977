"""The pages print the criteria that `workshop check` looks at."""

from pathlib import Path

import pytest

from kit_common.errors import UsageError
from workshop.course import checking, lists

PAGE = "# Part 1\n\n<!-- criteria -->\n- an old one\n<!-- /criteria -->\n\nThe end\n"


def test_the_pages_print_the_criteria() -> None:
    assert sorted(path.name for path in lists.outdated()) == [], "run `python -m workshop.course.lists`"


def test_a_changed_list_is_found_and_written_once(tmp_path: Path) -> None:
    page = tmp_path / "part_1.md"
    page.write_text(PAGE, encoding="utf-8")
    ((path, right),) = lists.outdated(tmp_path).items()
    assert path == page
    assert "an old one" not in right
    assert [line for line in right.splitlines() if line.startswith("- **`")] == [
        f"- **`{each.id}`**: {each.title}" for each in checking.PARTS[1]
    ]
    page.write_text(right, encoding="utf-8")
    assert lists.outdated(tmp_path) == {}


@pytest.mark.parametrize("text", ["# Part 1\n", PAGE * 2, PAGE.replace("<!-- /criteria -->", "")])
def test_a_page_without_its_comments_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="Part 1 needs one line"):
        checking.with_criteria(text, 1)
