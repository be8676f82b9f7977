"""The repository's own pipelines: what starts them, as a table, and that they watch all that they run."""

import ast
import json
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

STARTED: dict[tuple[str, str], list[tuple[str, ...]]] = {
    # A development branch tests each notebook of Part 1, and the code that they call.
    ("dev-ana", TEST): [
        *[(PREP,), (TRAINING,), (EVALUATING,), (SCORING,), (GATE,), (PREP, TRAINING, EVALUATING, SCORING)],
        *[("src/workshop/core/deeper/new.py",), ("src/workshop/core/__init__.py",), ("src/kit_common/errors.py",)],
        *[("README.md", SCORING), (*MANY, GATE)],
    ],
    ("integration", CI): [
        *[(PREP,), (TRAINING,), (EVALUATING,), (GATE,), (f"{FOLDER}/ci.yml",)],
        *[("docs/index.md", TRAINING, SCORING), (*MANY, EVALUATING)],
    ],
    ("main", CD): [
        *[(PREP,), (TRAINING,), (EVALUATING,), (GATE,), (f"{FOLDER}/cd.yml",)],
        *[("README.md", TRAINING, SCORING), (*MANY, TRAINING)],
    ],
    # Any other name is a development branch.
    **{
        (branch, TEST): [(TRAINING,)]
        for branch in ("feature/better-trees", "main-2", "not/main", "Main", "INTEGRATION", "x$(touch${IFS}pwned)")
    },
}
"""By branch and pipeline: changes that start this pipeline, and no other."""

IGNORED: dict[str, list[tuple[str, ...]]] = {
    "dev-ana": [
        *[NOTHING, MANY, ("README.md",), ("docs/part_4.md", "docs/part_5.md"), (PART_0,), (PART_4,)],
        *[("src/workshop/cli/app.py",), ("src/workshop/core",), ("src/workshop/core.py",), (f"old/{GATE}",)],
        *[("SRC/workshop/core/promotion/gate.py",), (PREP.replace("part_1_1", "Part_1_1"),), (f"{PREP}.bak",)],
        *[("requirements.txt",), (f"{FOLDER}/ci.yml", f"{FOLDER}/cd.yml")],
    ],
    "integration": [
        *[NOTHING, MANY, (SCORING,), (PART_4,), ("docs/index.md", "README.md")],
        *[(f"{FOLDER}/cd.yml",), (f"{FOLDER}/workshop_unit_test.yml",)],
    ],
    "main": [
        *[NOTHING, MANY, (SCORING,), (PART_0,), ("docs/index.md", "README.md"), (f"{FOLDER}/ci.yml",)],
        ("src/workshop/runner/run.py", "tests/unit/cli/test_app.py"),
    ],
}
"""By branch: changes that start nothing."""

TABLE = [
    *[(branch, changed, {name}) for (branch, name), changes in STARTED.items() for changed in changes],
    *[(branch, changed, set[str]()) for branch, changes in IGNORED.items() for changed in changes],
]


def judged(ref: str, changed: tuple[str, ...], message: str = "") -> dict[str, Verdict]:
    return decide(WorkTree(ROOT), Push(ref, changed, message))


def started(ref: str, changed: tuple[str, ...], message: str = "") -> set[str]:
    return {name for name, verdict in judged(ref, changed, message).items() if verdict.triggered}


@pytest.mark.parametrize(("branch", "changed", "pipelines"), TABLE)
def test_a_push_starts(branch: str, changed: tuple[str, ...], pipelines: set[str]) -> None:
    assert started(f"refs/heads/{branch}", changed) == pipelines


@pytest.mark.parametrize(
    ("branch", "message", "pipelines"),
    [
        ("dev-ana", "Try this\n\n[ci skip]\n", set()),
        ("integration", "[skip azurepipelines] Mend", set()),
        ("main", "***NO_CI***", set()),
        ("main", "Merge branch 'x$(touch pwned)'; rm -rf b", {CD}),
    ],
)
def test_a_message_skips_the_run(branch: str, message: str, pipelines: set[str]) -> None:
    assert started(f"refs/heads/{branch}", (TRAINING,), message) == pipelines


@pytest.mark.parametrize("ref", ["refs/tags/main", "refs/notes/commits", "refs/pull/1/merge"])
def test_tags_and_other_references_start_nothing(ref: str) -> None:
    assert started(ref, (PREP, GATE)) == set()


def test_there_are_three_pipelines_and_an_exercise_and_each_can_be_read() -> None:
    verdicts = judged("refs/heads/dev-ana", ())
    assert set(verdicts) == {TEST, CI, CD, "part_2_submit.yml"}
    assert not any(verdict.broken for verdict in verdicts.values())


def source_of(path: Path) -> str:
    """Return the text of a module, or of a notebook's code cells without their magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = [line for cell in cells for line in "".join(cell).splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


@cache
def imported(path: Path) -> frozenset[Path]:
    """Return the kit's modules that a file imports itself, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} has a relative import, which this test does not follow"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    stems = [ROOT / "src" / Path(*name.split(".")) for name in names if name.startswith(("workshop.", "kit_common."))]
    return frozenset(
        file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()
    )


def called_by(notebooks: tuple[str, ...]) -> set[str]:
    """Return every module of the kit that notebooks import, directly or not, as paths from the repository's root."""
    waiting, seen = [ROOT / notebook for notebook in notebooks], set[Path]()
    while waiting:
        new = imported(waiting.pop()) - seen
        seen |= new
        waiting += new
    return {path.relative_to(ROOT).as_posix() for path in seen}


@pytest.mark.parametrize(
    ("pipeline", "branch", "notebooks"),
    [
        (CI, "integration", (PREP, TRAINING, EVALUATING)),
        (CD, "main", (PREP, TRAINING, EVALUATING)),
        (TEST, "dev-ana", (PREP, TRAINING, EVALUATING, SCORING)),
    ],
)
def test_a_pipeline_watches_all_that_its_notebooks_call(pipeline: str, branch: str, notebooks: tuple[str, ...]) -> None:
    modules = called_by(notebooks)
    assert {"src/workshop/core/promotion/evaluate.py", GATE, "src/workshop/core/errors.py"} <= modules
    watched = [*notebooks, *modules]
    assert [path for path in watched if pipeline not in started(f"refs/heads/{branch}", (path,))] == []
