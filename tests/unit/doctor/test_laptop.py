"""`workshop doctor` on this machine, as it is and with one thing broken at a time."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from typer.testing import CliRunner

from workshop.cli import doctor
from workshop.core.errors import WorkshopError
from workshop.core.settings import PACKAGE
from workshop.doctor import laptop
from workshop.doctor.report import Finding, Note, Report
from workshop.runner import kernels, notebooks

Break = Callable[[pytest.MonkeyPatch, Path], None]


class Usage(NamedTuple):
    free: int


def found(*, with_kernel: bool = False) -> tuple[int, dict[str, Finding]]:
    """What the doctor finds here."""
    report = Report()
    with pytest.MonkeyPatch.context() as patch:
        if not with_kernel:
            patch.setattr(laptop, "kernel", lambda: "starts")
        laptop.examine(report)
    return report.exit_code, {finding.check: finding for finding in report.findings}


@pytest.fixture
def store(home: Path, fresh_store: Path) -> None:
    home.mkdir()
    shutil.copy(fresh_store, home / "mlflow.db")


@pytest.mark.integration
def test_this_machine_is_well(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    monkeypatch.delenv("DATABRICKS_CONFIG_PROFILE", raising=False)
    done = CliRunner().invoke(doctor.app, ["--json"])
    answer = json.loads(done.output)
    assert answer["target"] == "local"
    marks = {finding["check"]: finding["mark"] for finding in answer["findings"]}
    assert list(marks) == [
        *("Python", "packages", "settings", "disk", "home", "store", "kernel", "notebooks", "ports", "Git", "clock")
    ]
    assert {mark for check, mark in marks.items() if check not in ("packages", "ports", "Git", "disk")} == {"holds"}
    assert (done.exit_code, answer["ok"]) == ((1, False) if "fails" in marks.values() else (0, True))


def old_python(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setattr(sys, "version_info", (3, 9, 1))


def other_packages(patch: pytest.MonkeyPatch, home: Path) -> None:
    (home.parent / "requirements.txt").write_text("pandas==0.0.1\n", encoding="utf-8")
    patch.setattr(laptop, "_PINS", home.parent / "requirements.txt")


def wrong_setting(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("WORKSHOP_SLOTS", "drawer")


def full_disk(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setattr(shutil, "disk_usage", lambda path: Usage(100 * 2**20))


def file_for_a_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    shutil.rmtree(home)
    home.write_text("", encoding="utf-8")


def no_hard_links(patch: pytest.MonkeyPatch, home: Path) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    patch.setattr(Path, "hardlink_to", refused)


def damaged_store(patch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "mlflow.db").write_bytes(b"no database")


def no_git(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("PATH", str(home))


def clock_that_lost_its_battery(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setattr(laptop, "_now", lambda: 86400.0)


@pytest.mark.parametrize(
    ("break_it", "check", "words"),
    [
        (old_python, "Python", ["this is 3.9.1", "needs >=3.11", "create the environment with that one"]),
        (
            other_packages,
            "packages",
            ["requirements.txt asks for pandas==0.0.1", "pip install --no-deps -r requirements.txt"],
        ),
        (wrong_setting, "settings", ["WORKSHOP_SLOTS is 'drawer'", "'alias' or 'stage'"]),
        (full_disk, "disk", ["0.1 GB are free", "free some space"]),
        (file_for_a_home, "home", ["a file is where a folder is needed", "WORKSHOP_HOME=/path/to/folder"]),
        (no_hard_links, "home", ["has no hard links", "set WORKSHOP_HOME"]),
        (damaged_store, "store", ["MLflow could not open its store", "restore", "set WORKSHOP_HOME to a new folder"]),
        (no_git, "Git", ["not installed", "install it"]),
        (clock_that_lost_its_battery, "clock", ["it shows 1970-01-02", "set it"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_broken_is_named_with_what_to_do(
    break_it: Break, check: str, words: list[str], store: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_it(patch, home)
        code, findings = found()
    assert code == 1
    assert findings[check].mark == "fails", findings[check]
    assert [word for word in words if word not in findings[check].text] == [], findings[check].text
    expected = {"packages"} if findings["packages"].mark == "fails" else set()  # this environment may not be the pinned
    assert {name for name, finding in findings.items() if finding.mark == "fails"} <= {check} | expected


def test_without_settings_there_is_no_home_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", "drawer")
    _, findings = found()
    assert {findings[name].mark for name in ("disk", "home", "store")} == {"not checked"}


def test_a_port_that_is_taken_is_worth_a_note(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(laptop, "_PORTS", {port: "`workshop ui`"})
        _, findings = found()
    assert findings["ports"].mark == "note"
    assert f"{port} is taken" in findings["ports"].text and "--port" in findings["ports"].text
    assert laptop.ports() == f"{port} are free"


def test_little_space_is_worth_a_note(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: Usage(2**30))
        _, findings = found()
    assert findings["disk"].mark == "note" and "enough for a few runs" in findings["disk"].text


def test_a_kernel_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(kernels, "kernel", refused)
    report = Report()
    report.check("kernel", laptop.kernel)
    assert report.findings[0].mark == "fails"
    assert "no kernel starts (Kernel died before replying to kernel_info): run `python -m" in report.findings[0].text


def test_outside_a_checkout_the_clock_is_compared_with_the_packages_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_checkout(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "git")

    monkeypatch.setattr(subprocess, "run", no_checkout)
    assert "is later than the code" in laptop.clock()
    newest = max(path.stat().st_mtime for path in PACKAGE.rglob("*.py"))
    monkeypatch.setattr(laptop, "_now", lambda: newest - 3600)
    report = Report()
    report.check("clock", laptop.clock)
    assert report.findings[0].mark == "fails"


def test_nothing_is_left_in_the_home(store: None, home: Path) -> None:
    before = set(home.iterdir())
    laptop.home()
    assert set(home.iterdir()) == before


def test_each_notebook_without_its_one_parameters_cell_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notebooks"
    shutil.copytree(notebooks.FOLDER, folder, ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setattr(notebooks, "FOLDER", folder)
    assert laptop.notebook_files() == "6 notebooks of the kit, each with one parameters cell"
    for name in notebooks.SHIPPED[:2]:
        path = folder / f"{name}.ipynb"
        content = nbformat.read(path, as_version=4)
        tagged = next(cell for cell in content.cells if "parameters" in cell.metadata.get("tags", []))
        if name == notebooks.SHIPPED[0]:
            tagged.metadata.tags = []
        else:
            content.cells.append(nbformat.v4.new_code_cell(tagged.source, metadata=tagged.metadata))
        nbformat.write(content, path)
    (folder / "part_9_mine.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    with pytest.raises(WorkshopError) as caught:
        laptop.notebook_files()
    said = str(caught.value)
    assert "part_0_create_datasets has lost its cell tagged `parameters`" in said
    assert "part_1_1_data_prep has 2 cells tagged `parameters`" in said
    assert "part_9_mine.ipynb has a merge conflict" in said
    assert "part_1_2" not in said


def test_git_without_a_name_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setattr(laptop, "PACKAGE", tmp_path)  # no repository with a name of its own
    said = laptop.git()
    assert isinstance(said, Note)
    assert "user.name and user.email not set" in said


def test_a_registry_without_a_shared_history_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://registry.example")
    with pytest.raises(WorkshopError, match="set MLFLOW_TRACKING_URI to a shared server too"):
        laptop.open_store()
