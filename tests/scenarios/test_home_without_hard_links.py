"""A home on a file system without hard links, as SMB, Azure Files, exFAT and sshfs are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import Finished, workshop

pytestmark = pytest.mark.integration
LIBRARY = """
#include <errno.h>
int link(const char *from, const char *to) { errno = EPERM; return -1; }
int linkat(int a, const char *from, int b, const char *to, int flags) { errno = EPERM; return -1; }
"""


@pytest.fixture(scope="module")
def no_hard_links(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What to set for a process that no file system gives a hard link, whatever makes one: Python or the library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a file system appear to be without hard links")
    folder = tmp_path_factory.mktemp("library")
    (folder / "no_hard_links.c").write_text(LIBRARY)
    library = folder / "no_hard_links.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "no_hard_links.c"], check=True)
    return {"LD_PRELOAD": str(library)}


def refused(done: Finished, home: Path) -> bool:
    said = (done.out + done.err).replace("\n", " ")
    return done.code == 1 and str(home) in said and "has no hard links, which tables need: set WORKSHOP_HOME" in said


def test_a_run_ends_in_one_sentence(no_hard_links: dict[str, str], home: Path) -> None:
    done = workshop("run", "--notebooks", "1_1", COLUMNS="1000", **no_hard_links)
    assert refused(done, home), done.out + done.err
    assert "Traceback" not in done.out + done.err and "\x1b" not in done.out + done.err
    assert not (home / "data" / "development" / "_delta_log" / "00000000000000000000.json").exists()


def test_doctor_finds_it_first(no_hard_links: dict[str, str], home: Path) -> None:
    assert refused(workshop("doctor", COLUMNS="1000", **no_hard_links), home)
