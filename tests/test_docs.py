"""The pages: their links resolve, the files that they name exist, and the walks go through functions that exist."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.core.promotion.outcome import MEANINGS
from workshop.core.settings import PACKAGE

ROOT = PACKAGE.parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NAMED = re.compile(r"`((?:src|tests|docs|bench|\.azure_pipelines|\.azuredevops)/[^`\s]+)`")
WALK = re.compile(r"^\| \d+ \| `(src/[^`]+\.py)` \| `(\w+)` \|", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and Azure DevOps make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of one."""
    found = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            found.append(link)
    return found


@each_page
def test_the_links_of_a_page_resolve(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n[a](page.md#a-title) [b](page.md#b) [c](gone.md) [d](#a-title) `[e](gone.md)`\n")
    assert broken(page) == ["page.md#b", "gone.md"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_recipes_name_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(recipes) == 5
    assert [recipe.splitlines()[0] for recipe in recipes if len(NAMED.findall(recipe)) < 3] == []


def test_the_walks_go_through_functions_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    hops = WALK.findall(text)
    defined = {
        path: {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        for path, _ in hops
    }
    assert [(path, name) for path, name in hops if name not in defined[path]] == []
    walks = re.findall(r": (\d+) hops(.*?)(?=\n\*\*|\n## |\Z)", text, re.DOTALL)
    assert [int(count) for count, _ in walks] == [len(re.findall(r"^\| \d", rows, re.M)) for _, rows in walks]
    assert len(walks) == 3


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_a_decision_is_short_and_complete(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"]
    assert f"]({page.name})" in (page.parent / "README.md").read_text(encoding="utf-8")


def test_the_page_has_the_table_of_outcomes() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## Outcomes")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\| .*\|$", section, re.M)]
    shown = {
        status: (event.strip("`") if event.startswith("`") else None, int(code), colour)
        for _, _, statuses, event, _, code, colour in rows[1:]
        for status in re.findall(r"`([a-z ]+)`", statuses)
    }
    assert shown == {status: (each.event, each.exit_code, each.colour) for status, each in MEANINGS.items()}


def test_the_pictures_are_those_of_the_script(tmp_path: Path) -> None:
    script = ROOT / "docs" / "pictures.py"
    write = runpy.run_path(str(script))["write"]
    drawn = {path.name: path.read_text(encoding="utf-8") for path in write(tmp_path)}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (script.parent / "images").glob("*.svg")}
    assert drawn == kept


def test_no_common_misspelling() -> None:
    places = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "src"]
    command = [sys.executable, "-m", "codespell_lib", *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
