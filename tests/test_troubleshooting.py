"""Each symptom of docs/troubleshooting.md is a sentence that the kit prints."""

import ast
import re
from pathlib import Path

import pytest

from workshop.core.settings import PACKAGE

ROOT = PACKAGE.parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SYMPTOMS = re.findall(r"^\*\*`(.+)`\*\*$", PAGE, re.MULTILINE)
ANY = "…"


def texts(source: Path) -> list[str]:
    """Return the texts of a file, with … where a value is filled in."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in node.values}
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in parts]
    return [node.value for node in plain if isinstance(node.value, str)] + [
        "".join(str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values) for node in joined
    ]


SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests" / "notebooks").glob("*.py")]
PRINTED = "\n".join([text for path in SOURCES for text in texts(path)] + [(ROOT / "Makefile").read_text("utf-8")])


def is_printed(symptom: str) -> bool:
    """Return whether one text of the kit has the words of a symptom, in order."""
    words = [re.escape(part.strip()) for part in symptom.split(ANY) if part.strip(" .,:()")]
    return re.search(r"[^\n]*?".join(words), PRINTED) is not None


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_symptom_is_printed_by_the_kit(symptom: str) -> None:
    assert is_printed(symptom)


def test_a_sentence_that_the_kit_does_not_print_is_found() -> None:
    assert len(SYMPTOMS) > 40
    assert not is_printed("There is no team repository yet: call …")
    assert not is_printed("There is no … No version holds …")


def test_each_symptom_has_a_cause_and_what_to_do() -> None:
    parts = re.split(r"^\*\*`.+`\*\*$", PAGE, flags=re.MULTILINE)[1:]
    assert [part for part in parts if len(part.split("\n## ")[0].split()) < 8] == []
