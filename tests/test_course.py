"""The course's pages: they can be read, and each command of an Azure tab is carried out here or marked ☁."""

import re
from pathlib import Path

import pytest

from workshop.core.settings import PACKAGE
from workshop.course.page import Command, read_page

ROOT = PACKAGE.parents[1]
PAGES = sorted((ROOT / "docs").glob("part_[0-9].md"))
ONLY_AZURE = "☁"
_AZURE = re.compile(r"^:::\{tab-item\} Azure\n(.*?)^:::\n", re.DOTALL | re.MULTILINE)
ELSEWHERE = {
    "make setup": "tests/scenarios/test_setup.py",
    "workshop doctor --target databricks": "tests/unit/databricks_local/test_command.py",
    "workshop run --target databricks --run-name dev-ana": "tests/scenarios/test_databricks_run.py",
}
"""The commands that another test runs, such as those that need a workspace: in a local one."""


def of_the_laptop() -> list[str]:
    return [step.text for path in PAGES for step in read_page(path).steps if isinstance(step, Command)]


def of_azure() -> list[tuple[str, str]]:
    """Return the name of the page and the command, for each command of an Azure tab."""
    return [
        (path.name, command.strip())
        for path in PAGES
        for tab in _AZURE.findall(path.read_text(encoding="utf-8"))
        for command in re.findall(r"^ *\$ (.*)", tab, re.MULTILINE)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_steps_that_are_carried_out(path: Path) -> None:
    page = read_page(path)
    assert page.blocks > 3
    assert any(isinstance(step, Command) and step.expected for step in page.steps)


def test_a_command_of_an_azure_tab_is_carried_out_or_marked() -> None:
    commands = of_azure()
    carried_out = {*of_the_laptop(), *ELSEWHERE}
    assert len(commands) > 10
    unmarked = [(page, command) for page, command in commands if not command.endswith(f"# {ONLY_AZURE}")]
    assert [each for each in unmarked if each[1] not in carried_out] == []
    assert set(ELSEWHERE) - {command for _, command in unmarked} == set()
    assert [name for name in ELSEWHERE.values() if not (ROOT / name).is_file()] == []


def test_no_command_of_the_laptop_needs_azure() -> None:
    assert [command for command in of_the_laptop() if ONLY_AZURE in command or command.startswith("az ")] == []
