"""`make setup` with settings for pip and uv; pip is real, and uv is a script that records its calls."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.clones import REPOSITORY
from tests.test_project import pinned

pytestmark = pytest.mark.integration
MIRROR = "https://mirror.example/simple"
UV = '#!/bin/sh\nenv >> calls\necho "uv $*" >> calls\n'
ELSEWHERE = {
    **dict.fromkeys(("PIP_USER", "PIP_REQUIRE_HASHES", "PIP_REQUIRE_VIRTUALENV", "UV_SYSTEM_PYTHON"), "1"),
    **dict.fromkeys(
        ("PIP_TARGET", "UV_TARGET", "UV_PREFIX", "UV_PYTHON", "PIP_CONSTRAINT", "UV_CONSTRAINT"), "/nowhere"
    ),
    **dict.fromkeys(("PYTHONHOME", "UV_PROJECT", "UV_OVERRIDE", "UV_EXCLUDE"), "/nowhere"),
}


def make_wheel(folder: Path) -> None:
    """Write a wheel of the pinned version of uv, whose command records its calls."""
    name = f"uv-{pinned()['uv']}"
    info = {"METADATA": f"Metadata-Version: 2.1\nName: uv\nVersion: {pinned()['uv']}\n"}
    info |= {"WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        script = zipfile.ZipInfo(f"{name}.data/scripts/uv")
        script.external_attr = 0o100755 << 16
        wheel.writestr(script, UV)
        for file, text in info.items():
            wheel.writestr(f"{name}.dist-info/{file}", text)


def make_setup(folder: Path, settings: str, **variables: str) -> tuple[str, list[str]]:
    """Run `make setup` in a new checkout; return its output, and the recorded calls of uv with their environment."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder / name)
    make_wheel(folder)
    (folder / "pip.conf").write_text(settings)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": str(folder / "pip.conf")}
    done = subprocess.run(
        ["make", "--no-print-directory", "setup", f"PYTHON={sys.executable}"],
        cwd=folder, env={**inherited, **offline, **variables}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, (folder / "calls").read_text().splitlines()


def test_settings_of_other_installations_are_ignored_and_the_mirror_is_used(tmp_path: Path) -> None:
    settings = f"[global]\nindex-url = {MIRROR}\n[install]\nuser = true\ntarget = /nowhere\n"
    printed, calls = make_setup(tmp_path, settings, **ELSEWHERE)
    assert printed == "Installing the packages of requirements.txt into .venv …\n"
    assert [line.split()[:3] for line in calls if line.startswith("uv ")] == [
        ["uv", "pip", "sync"],
        ["uv", "pip", "install"],
    ]
    assert [line for line in calls if line.startswith("UV_")] == [f"UV_DEFAULT_INDEX={MIRROR}"]
    assert not [line for line in calls if line.startswith("PYTHONHOME=")]


@pytest.mark.parametrize(
    ("variables", "index"),
    [
        pytest.param({"PIP_INDEX_URL": MIRROR}, MIRROR, marks=pytest.mark.thorough),
        ({"PIP_INDEX_URL": "https://a.example", "UV_DEFAULT_INDEX": MIRROR}, MIRROR),
    ],
    ids=["pip's variable", "uv's own"],
)
def test_uv_uses_the_index_of_the_user(tmp_path: Path, variables: dict[str, str], index: str) -> None:
    _, calls = make_setup(tmp_path, "", **variables)
    before_sync = calls[: next(number for number, line in enumerate(calls) if line.startswith("uv pip sync"))]
    assert [line for line in before_sync if line.startswith("UV_")] == [f"UV_DEFAULT_INDEX={index}"]
