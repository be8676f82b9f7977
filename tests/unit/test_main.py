import os
import subprocess
import sys
from pathlib import Path

import pytest


def history(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workshop", "history"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("imported", "sentence"),
    [
        ("raise ModuleNotFoundError(name='typer')", "The package typer is not installed in "),
        ("raise ImportError('libz.so.1: cannot open\\n  more')", "do not load (ImportError: libz.so.1: cannot open): "),
        (
            "raise SystemError('compiled for another Python')",
            "do not load (SystemError: compiled for another Python): ",
        ),
    ],
)
def test_a_package_that_does_not_load_is_one_sentence(imported: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(imported)
    refused = history(PYTHONPATH=str(tmp_path))
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("strict", ["error", "e", "default,error::DeprecationWarning"])
def test_a_warning_while_importing_ends_nothing(strict: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\nraise ImportError('x')"
    )
    assert "(ImportError: x)" in history(PYTHONPATH=str(tmp_path), PYTHONWARNINGS=strict).stderr


def test_what_was_imported_is_not_searched_for_garbage_at_the_end() -> None:
    code = "import gc; from workshop.__main__ import main\ntry: main()\nfinally: print(gc.get_freeze_count() > 10_000)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"
