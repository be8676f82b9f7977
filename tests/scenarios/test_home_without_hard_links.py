"""A home on a file system without hard links, such as SMB, Azure Files, exFAT and sshfs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import workshop

pytestmark = pytest.mark.integration
LIBRARY = """
#include <errno.h>
int link(const char *from, const char *to) { errno = EPERM; return -1; }
int linkat(int a, const char *from, int b, const char *to, int flags) { errno = EPERM; return -1; }
"""


@pytest.fixture(scope="module")
def no_hard_links(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables for a process in which the creation of hard links fails."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a file system appear to be without hard links")
    folder = tmp_path_factory.mktemp("library")
    (folder / "no_hard_links.c").write_text(LIBRARY)
    library = folder / "no_hard_links.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "no_hard_links.c"], check=True)
    return {"LD_PRELOAD": str(library)}


@pytest.mark.parametrize("arguments", [("run", "--notebooks", "1_1"), ("doctor",)], ids=["run", "doctor"])
def test_missing_hard_links_are_one_sentence(
    no_hard_links: dict[str, str], home: Path, arguments: tuple[str, ...]
) -> None:
    done = workshop(*arguments, COLUMNS="1000", WORKSHOP_WARM_KERNELS="0", **no_hard_links)
    printed = (done.out + done.err).replace("\n", " ")
    assert done.code == 1, printed
    assert str(home) in printed and "has no hard links, which tables need: set WORKSHOP_HOME" in printed
    assert "Traceback" not in printed and "\x1b" not in printed
    assert not (home / "data" / "development" / "_delta_log" / "00000000000000000000.json").exists()
