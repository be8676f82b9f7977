import os
import subprocess
import sys
from pathlib import Path


def test_a_package_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(name='typer')")
    refused = subprocess.run(
        [sys.executable, "-m", "workshop", "history"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("The package typer is not installed in ")
    assert "Traceback" not in refused.stderr
