"""Every line that a reader may type from README, docs/promotion.md and docs/reference.md runs as printed.

The lines run in a clone with one delivered model or, where any folder will do, in an empty one; both stay as they were.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from databricks_local.mlflow_server import free_port
from tests.support.clones import checkout, copy_training_cell
from tests.support.commands import workshop_here
from tests.support.servers import patient_session
from tests.support.typed_lines import commands, python_blocks
from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.settings import PACKAGE

pytestmark = pytest.mark.integration

ROOT = PACKAGE.parents[1]
README, PROMOTION, REFERENCE = (ROOT / name for name in ("README.md", "docs/promotion.md", "docs/reference.md"))
PORT = "8080"
EXAMPLE = next(line for line in commands(PROMOTION.read_text(encoding="utf-8")) if line.startswith("curl"))
STORE = 'export MLFLOW_TRACKING_URI="sqlite:///$PWD/.workshop/mlflow.db"'

ANYWHERE = [
    "workshop status",
    "workshop status --json",
    "workshop history",
    "workshop history --json",
    "workshop devops runs --json",
    "workshop devops pr list --json",
    "workshop databricks cancel",
]
IN_A_CLONE = ["workshop pipelines check", "workshop pipelines triggered --branch main --changed README.md"]
WHILE_IT_SERVES = ["workshop serve", f"workshop serve --port {PORT}", EXAMPLE]
IN_ORDER = [
    ("make cd", 0),
    (".venv/bin/workshop history", 0),
    (".venv/bin/workshop rollback", 0),
    ("git checkout src/workshop/notebooks", 0),
    ("workshop history --replay 3", 0),
    ('workshop rollback --reason "the panel disagrees"', 0),
    ("workshop rollback --to 1", 0),
    ('workshop promote 2 --reason "approved by the cellar master"', 0),
    ("workshop rollback", 0),
    ("workshop run", 3),
    ("workshop run --run-name dev-ana", 3),
    ("workshop run --action deployment", 3),
    ("workshop run --action deployment --scoring", 3),
    ("workshop run --action deployment --compare-only", 3),
    ("workshop run --compare-only", 3),
    ("workshop run --notebooks 1_1", 0),
    ("workshop run -p seed=7", 3),
    ("WORKSHOP_HOME=~/wines-7 workshop run --notebooks 0 -p seed=7", 0),
    ("workshop doctor", 0),
    ("workshop doctor --json", 0),
]
"""The walk through README and docs/promotion.md, with the exit codes; after it, further runs."""

_OTHER_MACHINE = "needs a network, or another system"
_STOPS_THE_TEST = "would run the tests in a test, or for hours"
_NAMED = "is named in a sentence, without what it needs"
NOT_HERE = {
    "git clone <address of this repository> workshop && cd workshop": _OTHER_MACHINE,
    "conda env create -f environment.yml": _OTHER_MACHINE,
    "conda activate workshop": _OTHER_MACHINE,
    "pip install --no-deps --no-build-isolation -e .": "tests/scenarios/test_setup.py: `make setup` calls uv with it",
    "py -m venv .venv; .venv\\Scripts\\python -m pip install --no-deps -r requirements.txt; "
    ".venv\\Scripts\\python -m pip install --no-deps --no-build-isolation -e .": _OTHER_MACHINE,
    ".venv\\Scripts\\workshop run --action deployment": _OTHER_MACHINE,
    "source .venv/bin/activate": "a test has the environment already",
    "git config --global …": _NAMED,
    "make test": _STOPS_THE_TEST,
    "make course": _STOPS_THE_TEST,
    "make thorough": _STOPS_THE_TEST,
    "make bench": _STOPS_THE_TEST,
    "python -m bench gate": _STOPS_THE_TEST,
    "python -m bench growth": _STOPS_THE_TEST,
    "make lab": "tests/unit/cli/test_app.py",
    "workshop lab": "tests/unit/cli/test_app.py",
    "workshop docs": "tests/unit/cli/test_docs.py",
    "make docs": "tests/scenarios/test_site.py",
    "workshop ui": "tests/unit/cli/test_app.py",
    "workshop rehearse": "tests/scenarios/test_rehearsal.py",
    "workshop reset": "tests/unit/cli/test_app.py",
    "workshop doctor --target databricks": "tests/unit/databricks_local/test_command.py",
    "workshop run --target databricks": "tests/scenarios/test_databricks_run.py",
    "workshop databricks bundle": "tests/unit/databricks/test_bundle.py",
    "workshop databricks local": "tests/unit/databricks_local/test_command.py",
    "workshop databricks local -- COMMAND…": "tests/unit/databricks_local/test_command.py",
    "workshop pipelines run cd.yml": "tests/scenarios/test_pipelines_story.py",
    "workshop devops start": "tests/scenarios/test_pipelines_story.py",
    "git push workshop dev-ana": "tests/scenarios/test_pipelines_story.py",
    "workshop check": "tests/unit/cli/test_check.py",
    "workshop check --json": "tests/unit/cli/test_check.py",
    "workshop check 1": "tests/unit/cli/test_check.py",
    "workshop hint": "tests/unit/cli/test_check.py",
    "workshop hint branch --level 3": "tests/unit/cli/test_check.py",
    "workshop history --replay N": _NAMED,
    "workshop history --last N": _NAMED,
    "workshop history --last 2": "tests/unit/cli/test_history.py",
    "workshop rollback --to VERSION": _NAMED,
    'workshop promote VERSION --reason "…"': _NAMED,
    "workshop promote": _NAMED,
    "workshop run -p name=value": _NAMED,
    "workshop run --publish FOLDER": "tests/scenarios/test_pipelines_story.py",
    "workshop azure announce FOLDER": "tests/unit/azure/test_logging_commands.py",
    "workshop databricks": _NAMED,
    "workshop pipelines run": _NAMED,
    "workshop pipelines triggered --json": "tests/unit/cli/test_pipelines_triggered.py",
    "mlflow server": _NAMED,
    "mlflow gc": _NAMED,
    "mlflow db upgrade": _NAMED,
    "mlflow models serve": _NAMED,
}
"""The lines that do not run in this file: the test that runs them, or the reason."""


@pytest.fixture
def clone(delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with the first version in Production; the current folder is an empty one."""
    folder = checkout(tmp_path / "clone")
    shutil.copytree(delivered, folder / ".workshop")
    monkeypatch.setenv("WORKSHOP_HOME", str(folder / ".workshop"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return folder


def test_every_line_is_run_or_has_a_reason() -> None:
    printed = {line for page in (README, PROMOTION, REFERENCE) for line in commands(page.read_text(encoding="utf-8"))}
    known = {*ANYWHERE, *IN_A_CLONE, *WHILE_IT_SERVES, STORE, *(line for line, _ in IN_ORDER), *NOT_HERE}
    assert printed - known == set(), "add them to the list of this file that runs them, or to NOT_HERE with a reason"
    assert known - printed == set(), "remove them from this file: no page has them any more"
    tests = [reason.partition(":")[0] for reason in NOT_HERE.values() if reason.startswith("tests/")]
    assert [name for name in tests if not (ROOT / name).is_file()] == []


def test_the_lines_run_as_printed_and_leave_nothing_behind(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ANYWHERE:
        done = workshop_here(*shlex.split(line)[1:])
        assert done.code == 0, (line, done.err)
        assert not line.endswith("--json") or json.loads(done.out) is not None
    for line in IN_A_CLONE:
        monkeypatch.chdir(clone)
        assert workshop_here(*shlex.split(line)[1:]).code == 0, line
        monkeypatch.chdir(clone.parent / "elsewhere")
    require_nothing_left(clone)


def test_a_slice_of_the_page_fits_the_wines() -> None:
    wines = datasets.prepare(datasets.without_duplicates(read_originals()))
    ((_, selects),) = eval(f"{{{python_blocks(PROMOTION.read_text(encoding='utf-8'))[0]}}}").items()
    assert 0 < selects(wines).sum() < len(wines)


def test_a_consumer_loads_the_model_from_any_folder(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (load,) = python_blocks(REFERENCE.read_text(encoding="utf-8"))
    show = subprocess.run(
        ["bash", "-c", f'{STORE}; printf %s "$MLFLOW_TRACKING_URI"'],
        cwd=clone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    with monkeypatch.context() as exported:
        exported.setenv("MLFLOW_TRACKING_URI", show.stdout)
        exec(compile(load, "reference.md", "exec"), {})
    assert re.fullmatch(r"\[([\d.]+\s*){5}\]\n", capsys.readouterr().out)
    _, follow, _ = python_blocks(PROMOTION.read_text(encoding="utf-8"))
    exec(compile(follow, "promotion.md", "exec"), {})
    assert capsys.readouterr().out.startswith("1 [")
    require_nothing_left(clone)


def test_a_served_model_answers_the_lines_of_the_page(clone: Path) -> None:
    *_, request = python_blocks(PROMOTION.read_text(encoding="utf-8"))
    port = str(free_port())
    answers: list[str] = []

    def read_the_page() -> None:
        try:
            patient_session().get(f"http://127.0.0.1:{port}/ping", timeout=60)
            line = EXAMPLE.replace(PORT, port)
            answers.append(subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout)
            exec(compile(request.replace(PORT, port), "promotion.md", "exec"), {})
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    reader = threading.Thread(target=read_the_page)
    reader.start()
    served = workshop_here("serve", "--port", port)
    reader.join()
    assert served.code == 0
    assert answers
    assert answers[0] in PROMOTION.read_text(encoding="utf-8")
    assert f"1 {answers[0]}\n" in served.out
    require_nothing_left(clone)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="make")
def test_the_walk_through_the_pages(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    assert type_line("make cd", clone).returncode == 0
    copy_training_cell(clone / "src" / "workshop" / "notebooks")
    for line, code in IN_ORDER:
        done = type_line(line, clone)
        assert done.returncode == code, (line, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
    require_nothing_left(clone)


def type_line(line: str, clone: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line in a clone, with the environment of this test instead of one in the clone."""
    line = line.replace(".venv/bin/", "").replace("make cd", f"make cd READY= BIN={Path(sys.executable).parent}")
    return subprocess.run(line, shell=True, cwd=clone, capture_output=True, text=True, check=False, timeout=300)


def require_nothing_left(clone: Path) -> None:
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == ""
    assert list((clone.parent / "elsewhere").iterdir()) == []
