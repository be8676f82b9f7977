"""What commands import, which is most of the time they take; `python -m bench commands` measures the seconds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.team import Clone
from tests.unit.course.readers.conftest import FILES

LIBRARIES = ("mlflow", "pandas", "numpy", "scipy", "sklearn", "sqlalchemy", "pyarrow", "deltalake", "pandera",
             "matplotlib", "seaborn", "papermill", "nbclient", "nbformat", "IPython", "zmq")  # fmt: skip
MLFLOWS_OWN = ("mlflow", "pandas", "numpy", "scipy", "sqlalchemy", "pyarrow")
"""What `import mlflow` and its store in a database import anyway."""
WITH_MLFLOW = (*(name for name in LIBRARIES if name not in MLFLOWS_OWN), "scipy.stats", "skops", "xgboost")

CASES = {
    "--help": LIBRARIES,
    "run --help": LIBRARIES,
    "docs --help": LIBRARIES,
    "devops --help": LIBRARIES,
    "devops runs": LIBRARIES,
    "devops pr list": LIBRARIES,
    "pipelines check": LIBRARIES,
    "pipelines triggered --branch main": LIBRARIES,
    "check": (*LIBRARIES, "azure_devops_local.agent"),
    "status": WITH_MLFLOW,
    "history": WITH_MLFLOW,
    "history --json": WITH_MLFLOW,
    "rollback --to 99": WITH_MLFLOW,
}
"""Each command, and the modules that it must not import."""
TO_THE_FIRST_LINE = {"run": LIBRARIES, "run --action deployment --publish there": LIBRARIES, "doctor": LIBRARIES}
"""The same for commands that need them later, up to the first line that they print."""
LISTED = """
import sys
from workshop.__main__ import main
try:
    main()
finally:
    print("imported:", *sys.modules)
"""
LISTED_FIRST = """
import io, sys
from workshop.__main__ import main

class Ending(io.StringIO):
    def write(self, text):
        print("imported:", *sys.modules, file=sys.__stdout__)
        sys.exit()

sys.stdout = Ending()
main()
"""


@pytest.mark.parametrize("command", [*CASES, *TO_THE_FIRST_LINE])
def test_a_command_imports_no_library_that_it_does_not_use(
    command: str, tmp_path: Path, home: Path, request: pytest.FixtureRequest
) -> None:
    code, left_out = (LISTED, CASES[command]) if command in CASES else (LISTED_FIRST, TO_THE_FIRST_LINE[command])
    if left_out is WITH_MLFLOW:
        home.mkdir()
        shutil.copy(request.getfixturevalue("fresh_store"), home)
    clone = Clone(tmp_path / "clone", FILES)

    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()],
        cwd=clone.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    imported = set(done.stdout.splitlines()[-1].removeprefix("imported: ").split())
    assert "Traceback" not in done.stderr
    assert sorted(imported & set(left_out)) == [], done.stderr
