import subprocess
import sys

import pytest

pytest.importorskip("resource")

RAISE = "from workshop.runner.open_files import allow_open_files; import resource; allow_open_files(); "
RAISE += "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


def limited(soft: int, hard: int, *command: str) -> subprocess.CompletedProcess[str]:
    shell = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"'
    return subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, *command], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("soft", "hard", "then"), [(64, 5000, 4096), (64, 1000, 1000), (256, 256, 256)])
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(soft: int, hard: int, then: int) -> None:
    assert int(limited(soft, hard, "-c", RAISE).stdout) == then


def test_a_limit_of_open_files_that_is_too_low_is_one_sentence() -> None:
    refused = limited(64, 64, "-m", "workshop", "run")
    assert refused.returncode == 1
    assert "only 64 files" in refused.stderr
    assert "ulimit -n 256" in refused.stderr
    assert "Traceback" not in refused.stderr
