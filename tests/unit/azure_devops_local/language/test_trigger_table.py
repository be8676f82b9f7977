"""The repository's own pipelines: what starts them, as a table, and that they watch all that they run."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from azure_devops_local.language.documents import WorkTree
from azure_devops_local.language.triggers import Push, Verdict, decide

ROOT = Path(__file__).parents[4]
NOTEBOOKS = "src/workshop/notebooks"
PREP = f"{NOTEBOOKS}/part_1_1_data_prep.ipynb"
TRAINING = f"{NOTEBOOKS}/part_1_2_training.ipynb"
EVALUATING = f"{NOTEBOOKS}/part_1_3_evaluating.ipynb"
SCORING = f"{NOTEBOOKS}/part_1_4_scoring.ipynb"
PART_0 = f"{NOTEBOOKS}/part_0_create_datasets.ipynb"
PART_4 = f"{NOTEBOOKS}/part_4_new_training_code.ipynb"
GATE = "src/workshop/core/promotion/gate.py"
FOLDER = ".azure_pipelines"
MANY = tuple(f"docs/page_{number}.md" for number in range(10_000))
TEST, CI, CD = "workshop_unit_test.yml", "ci.yml", "cd.yml"
NOTHING: tuple[str, ...] = ()

TABLE: list[tuple[str, tuple[str, ...], str, tuple[str, ...]]] = [
    # A development branch: each notebook of Part 1, and the code that they call.
    ("dev-ana", (PREP,), "", (TEST,)),
    ("dev-ana", (TRAINING,), "", (TEST,)),
    ("dev-ana", (EVALUATING,), "", (TEST,)),
    ("dev-ana", (SCORING,), "", (TEST,)),
    ("dev-ana", (GATE,), "", (TEST,)),
    ("dev-ana", ("src/workshop/core/deeper/new.py",), "", (TEST,)),
    ("dev-ana", ("src/workshop/core/__init__.py",), "", (TEST,)),
    ("dev-ana", ("src/kit_common/errors.py",), "", (TEST,)),
    ("dev-ana", (PREP, TRAINING, EVALUATING, SCORING), "Everything at once", (TEST,)),
    ("dev-ana", ("README.md", SCORING), "", (TEST,)),
    ("dev-ana", (*MANY, GATE), "", (TEST,)),
    # What a branch is called does not matter, as long as it is not one of the two.
    ("x", (PREP,), "", (TEST,)),
    ("feature/better-trees", (TRAINING,), "", (TEST,)),
    ("main-2", (TRAINING,), "", (TEST,)),
    ("not/main", (TRAINING,), "", (TEST,)),
    ("integration-ana", (TRAINING,), "", (TEST,)),
    ("Main", (TRAINING,), "", (TEST,)),
    ("INTEGRATION", (TRAINING,), "", (TEST,)),
    ("x$(touch${IFS}pwned)", (TRAINING,), "", (TEST,)),
    ("refs/heads/main", (TRAINING,), "", (TEST,)),
    # What a development branch may change without a test of the notebooks.
    ("dev-ana", NOTHING, "An empty commit", ()),
    ("dev-ana", ("README.md",), "", ()),
    ("dev-ana", ("docs/part_4.md", "docs/part_5.md"), "", ()),
    ("dev-ana", (PART_0,), "", ()),
    ("dev-ana", (PART_4,), "", ()),
    ("dev-ana", ("src/workshop/cli/app.py",), "", ()),
    ("dev-ana", ("src/workshop/core",), "", ()),
    ("dev-ana", ("src/workshop/core.py",), "", ()),
    ("dev-ana", ("old/src/workshop/core/promotion/gate.py",), "", ()),
    ("dev-ana", ("SRC/workshop/core/promotion/gate.py",), "", ()),
    ("dev-ana", (PREP.replace("part_1_1", "Part_1_1"),), "", ()),
    ("dev-ana", (f"{PREP}.bak",), "", ()),
    ("dev-ana", ("requirements.txt",), "", ()),
    ("dev-ana", (f"{FOLDER}/ci.yml", f"{FOLDER}/cd.yml"), "", ()),
    ("dev-ana", MANY, "", ()),
    # Integration.
    ("integration", (PREP,), "", (CI,)),
    ("integration", (TRAINING,), "", (CI,)),
    ("integration", (EVALUATING,), "", (CI,)),
    ("integration", (GATE,), "", (CI,)),
    ("integration", (f"{FOLDER}/ci.yml",), "", (CI,)),
    ("integration", ("docs/index.md", TRAINING, SCORING), "Merge dev-ana", (CI,)),
    ("integration", (*MANY, EVALUATING), "", (CI,)),
    ("integration", (SCORING,), "", ()),
    ("integration", (PART_4,), "", ()),
    ("integration", (f"{FOLDER}/cd.yml",), "", ()),
    ("integration", (f"{FOLDER}/workshop_unit_test.yml",), "", ()),
    ("integration", ("docs/index.md", "README.md"), "Only documentation", ()),
    ("integration", NOTHING, "", ()),
    ("integration", MANY, "", ()),
    # Main.
    ("main", (PREP,), "", (CD,)),
    ("main", (TRAINING,), "", (CD,)),
    ("main", (EVALUATING,), "", (CD,)),
    ("main", (GATE,), "", (CD,)),
    ("main", (f"{FOLDER}/cd.yml",), "", (CD,)),
    ("main", ("README.md", TRAINING, SCORING), "Merge integration", (CD,)),
    ("main", (*MANY, TRAINING), "", (CD,)),
    ("main", (SCORING,), "", ()),
    ("main", (PART_0,), "", ()),
    ("main", (f"{FOLDER}/ci.yml",), "", ()),
    ("main", ("docs/index.md", "README.md"), "Only documentation", ()),
    ("main", ("src/workshop/runner/run.py", "tests/unit/cli/test_app.py"), "", ()),
    ("main", NOTHING, "", ()),
    ("main", MANY, "", ()),
    # Messages.
    ("dev-ana", (PREP,), "Try this [skip ci]", ()),
    ("dev-ana", (PREP,), "Try this\n\n[ci skip]\n", ()),
    ("dev-ana", (PREP,), "skip ci, please", (TEST,)),
    ("integration", (TRAINING,), "[skip azurepipelines] Mend", ()),
    ("integration", (TRAINING,), "[azurepipelines skip]", ()),
    ("integration", (TRAINING,), "Mend\n\nskip-checks: true", ()),
    ("integration", (TRAINING,), "Mend\n\nskip-checks: false", (CI,)),
    ("main", (TRAINING,), "***NO_CI***", ()),
    ("main", (TRAINING,), "[skip azp]", ()),
    ("main", (TRAINING,), "[azp skip]", ()),
    ("main", (TRAINING,), "[skip azpipelines]", ()),
    ("main", (TRAINING,), "[azpipelines skip]", ()),
    ("main", (TRAINING,), "Merge branch 'x$(touch pwned)'; rm -rf b", (CD,)),
]


def judged(ref: str, changed: tuple[str, ...], message: str = "") -> dict[str, Verdict]:
    return decide(WorkTree(ROOT), Push(ref, changed, message))


def started(ref: str, changed: tuple[str, ...], message: str = "") -> set[str]:
    return {name for name, verdict in judged(ref, changed, message).items() if verdict.triggered}


def test_the_table_is_long_enough_and_says_nothing_twice() -> None:
    assert len({row[:3] for row in TABLE}) == len(TABLE) >= 60


@pytest.mark.parametrize(("branch", "changed", "message", "pipelines"), TABLE)
def test_a_push_starts(branch: str, changed: tuple[str, ...], message: str, pipelines: tuple[str, ...]) -> None:
    assert started(f"refs/heads/{branch}", changed, message) == set(pipelines)


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/tags/main", "refs/notes/commits", "refs/pull/1/merge"])
def test_tags_and_other_references_start_nothing(ref: str) -> None:
    assert started(ref, (PREP, GATE)) == set()


def test_there_are_three_pipelines_and_each_can_be_read() -> None:
    verdicts = judged("refs/heads/dev-ana", ())
    assert set(verdicts) == {TEST, CI, CD}
    assert not any(verdict.broken for verdict in verdicts.values())


def code_of(path: Path) -> Iterator[ast.AST]:
    """What is written in a module or in a notebook's code cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        yield from ast.walk(ast.parse(text))
        return
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            yield from ast.walk(ast.parse("\n".join(line for line in lines if not line.startswith(("%", "!")))))


def file_of(module: str) -> Path | None:
    stem = ROOT / "src" / Path(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def imported(path: Path) -> Iterator[Path]:
    """The kit's modules that a file imports itself, anywhere in it."""
    for node in code_of(path):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} has a relative import, which this test does not follow"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith(("workshop.", "kit_common.")) and (found := file_of(name)):
                yield found


@cache
def called_by(notebooks: tuple[str, ...]) -> frozenset[str]:
    """Every module of the kit that notebooks import, or that those import, as paths from the repository's root."""
    waiting, seen = [ROOT / notebook for notebook in notebooks], set[Path]()
    while waiting:
        new = set(imported(waiting.pop())) - seen
        seen |= new
        waiting += new
    return frozenset(path.relative_to(ROOT).as_posix() for path in seen)


def test_imports_are_followed() -> None:
    modules = called_by((EVALUATING,))
    assert {
        "src/workshop/core/promotion/evaluate.py",
        "src/workshop/core/promotion/gate.py",
        "src/workshop/core/errors.py",
    } <= modules


@pytest.mark.parametrize(
    ("pipeline", "branch", "notebooks"),
    [
        (CI, "integration", (PREP, TRAINING, EVALUATING)),
        (CD, "main", (PREP, TRAINING, EVALUATING)),
        (TEST, "dev-ana", (PREP, TRAINING, EVALUATING, SCORING)),
    ],
)
def test_a_pipeline_watches_all_that_its_notebooks_call(pipeline: str, branch: str, notebooks: tuple[str, ...]) -> None:
    watched = [*notebooks, *called_by(notebooks)]
    assert len(watched) > 10
    assert [path for path in watched if pipeline not in started(f"refs/heads/{branch}", (path,))] == []
