"""The pages of the course can be read, and the commands of the laptop need no Azure."""

from pathlib import Path

import pytest

from workshop.core.settings import PACKAGE
from workshop.course.page import Command, read_page

ROOT = PACKAGE.parents[1]
PAGES = sorted((ROOT / "docs").glob("part_[0-9].md"))
ONLY_AZURE = "☁"


def of_the_laptop() -> list[str]:
    return [step.text for path in PAGES for step in read_page(path).steps if isinstance(step, Command)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_steps_that_are_carried_out(path: Path) -> None:
    page = read_page(path)
    assert page.blocks > 3
    assert any(isinstance(step, Command) and step.expected for step in page.steps)


def test_no_command_of_the_laptop_needs_azure() -> None:
    assert [command for command in of_the_laptop() if ONLY_AZURE in command or command.startswith("az ")] == []
