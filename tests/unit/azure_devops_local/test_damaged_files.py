"""Damaged pipeline files: each is refused in a sentence, or is a pipeline; none ends in a traceback."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from azure_devops_local import run_store
from azure_devops_local.check import problems, scheduled
from azure_devops_local.language.documents import FOLDER, WorkTree
from tests.support import laptop
from workshop.core.settings import PACKAGE

CASES = sorted(Path(__file__).parent.glob("cases/*/pipeline.yml"))
SOURCES = [*CASES, *sorted((PACKAGE.parents[1] / FOLDER).rglob("*.yml"))]
_EXPECTATION = shutil.ignore_patterns("expected.yml", "variable_groups.yml")
ODD = [
    *("", "~", "[]", "{}", "[a, [b]]", "{a: b}", "{a: {b: [c]}}", "0", "-1", "1e400", "yes", "'x'", "'", '"', "|"),
    *("${{ }}", "${{", "${{ x.y }}", "${{ parameters.x }}", "${{ parameters }}", "${{ variables }}", "${{ if x }}"),
    *("${{ else }}:", "${{ each a in b }}:", "${{ insert }}", "$[ x ]", "$[ variables ]", "$(x)", "$($(x))"),
    *("&a x", "*a", "!!int x", "!!binary x", "? x", "%x", "\t", "a: b: c", "- - -", "<<: {a: b}", "2026-11-30"),
    *("refs/heads/", "\x00", "Ä\u2028", "|\n  x"),
]


def delete(lines: list[str], random: Random) -> None:
    del lines[random.randrange(len(lines))]


def duplicate(lines: list[str], random: Random) -> None:
    lines.insert(random.randrange(len(lines)), random.choice(lines))


def swap(lines: list[str], random: Random) -> None:
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def indent(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    lines[at] = " " * random.choice([1, 2, 3, 4]) + lines[at] if random.random() < 0.5 else lines[at].lstrip(" ")


def change_value(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    lines[at] = re.sub(r"(?<=[:-] ).*|(?<=:)$", lambda _: " " + random.choice(ODD), lines[at], count=1)


def change_key(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    words = [match[0] for line in lines for match in re.finditer(r"[\w.]+(?=:)", line)]
    lines[at] = re.sub(r"[\w.]+(?=:)", lambda _: random.choice([*words, *ODD]), lines[at], count=1)


def cut(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]


def replace_character(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    where = random.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:where] + random.choice("{}[]()'\"$:,.-#&*!|>%@ \t0") + lines[at][where + 1 :]


DAMAGES: list[Callable[[list[str], Random], None]] = [
    *(delete, duplicate, swap, indent, change_value, change_value, change_key, cut, replace_character)
]


def damaged(count: int, sources: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield that many damaged texts, the same in every call, each with the file that it was."""
    for number in range(count):
        random, source = Random(number), sources[number % len(sources)]
        lines = source.read_text(encoding="utf-8").splitlines()
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            if lines:
                random.choice(DAMAGES)(lines, random)
        yield source, "\n".join(lines) + "\n"


def test_a_damaged_file_is_read_or_refused(tmp_path: Path, thorough: bool) -> None:
    ends = {True: 0, False: 0}
    for source, text in damaged(1400 if thorough else 70, SOURCES):
        pipelines = source.parents[source.parent.name == "templates"]
        shutil.rmtree(tmp_path / FOLDER, ignore_errors=True)
        shutil.copytree(pipelines, tmp_path / FOLDER, ignore=_EXPECTATION)
        (tmp_path / FOLDER / source.relative_to(pipelines)).write_text(text, encoding="utf-8")
        try:
            found = problems(WorkTree(tmp_path))
            scheduled(WorkTree(tmp_path))
        except Exception as error:
            raise AssertionError(f"{source} became:\n{text}") from error
        assert [sentence for sentence in found if not sentence.strip() or "\n\n" in sentence] == []
        ends[not found] += 1
    assert min(ends.values()) > 0


@pytest.mark.thorough
def test_a_damaged_file_is_run_or_refused(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", "")
    ends: set[run_store.Result | None] = set()
    for source, text in damaged(100, CASES):
        laptop.commit(folder, text)
        try:
            ends.add(laptop.execute(folder, laptop.approve).result)
        except Exception as error:
            raise AssertionError(f"{source} became:\n{text}") from error
    assert {"succeeded", "failed"} <= ends
