"""The Git filter for notebooks, with a real Git: what is committed, and what is left in the working folder."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from kit_common import git
from tests.support.clones import REPOSITORY
from workshop.cli.git_filter import set_filter
from workshop.runner.notebooks import FOLDER

COMMITTED = (FOLDER / "part_1_1_data_prep.ipynb").relative_to(REPOSITORY).as_posix()
pytestmark = pytest.mark.integration
SCRIPTS = Path(sysconfig.get_path("scripts"))


class Clone:
    """A repository with one notebook of the kit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebook = folder / COMMITTED
        self.notebook.parent.mkdir(parents=True)
        shutil.copy(REPOSITORY / ".gitattributes", folder)
        self.notebook.write_bytes((REPOSITORY / COMMITTED).read_bytes())
        saved = nbformat.read(self.notebook, as_version=4)
        for cell in saved.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(saved, self.notebook)
        self.original = self.notebook.read_bytes()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("first")

    def git(self, *arguments: str, folder: Path | None = None, given: str = "") -> str:
        """Run Git as a user does; return what it prints, errors included."""
        user = ("-c", "user.name=Ana", "-c", "user.email=ana@example.org")
        done = subprocess.run(
            ["git", *user, *arguments], cwd=folder or self.folder, input=given, capture_output=True, text=True,
            check=False, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def commit(self, subject: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)

    def run_and_save(self, title: str = "") -> None:
        """Save the notebook as JupyterLab does after *Run All*, with another title if one is given."""
        saved = nbformat.read(self.notebook, as_version=4)
        saved.metadata.language_info |= {
            "codemirror_mode": {"name": "ipython", "version": 3},
            "file_extension": ".py",
            "mimetype": "text/x-python",
            "nbconvert_exporter": "python",
            "pygments_lexer": "ipython3",
            "version": "3.13.1",
        }
        for number, cell in enumerate(cell for cell in saved.cells if cell.cell_type == "code"):
            cell.execution_count = number + 1
            cell.outputs = [new_output("stream", text="6,497 wines\n")]
            cell.metadata["execution"] = {"iopub.execute_input": "2026-11-30T14:00:00Z"}
        if title:
            saved.cells[0].source = f"# {title}"
        nbformat.write(saved, self.notebook)

    def committed(self, revision: str = "HEAD") -> bytes:
        return self.git("show", f"{revision}:{COMMITTED}").encode()

    def has_outputs(self) -> bool:
        return b"6,497 wines" in self.notebook.read_bytes()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "a clone")


@pytest.fixture
def filtered(clone: Clone) -> Clone:
    set_filter(clone.folder)
    return clone


def test_a_notebook_that_was_only_run_adds_nothing_to_a_commit(filtered: Clone) -> None:
    filtered.run_and_save()
    assert filtered.git("diff") == ""
    assert filtered.git("status", "--short") == f" M {COMMITTED}\n"  # its size differs, which is all that Git looks at
    filtered.git("add", "-u")
    assert filtered.git("status", "--short") == ""
    assert filtered.has_outputs()


def test_commit_all_contains_the_edit_and_nothing_else(filtered: Clone) -> None:
    filtered.run_and_save("Part 1.1: our own title")
    filtered.git("commit", "--quiet", "-am", "Another title")
    before, after = json.loads(filtered.original), json.loads(filtered.committed())
    assert after["cells"][0]["source"] == ["# Part 1.1: our own title"]
    assert {**after, "cells": after["cells"][1:]} == {**before, "cells": before["cells"][1:]}
    assert filtered.has_outputs()


def test_hunks_are_added_from_the_notebook_without_outputs(filtered: Clone) -> None:
    filtered.run_and_save("Part 1.1: our own title")
    asked = filtered.git("add", "-p", given="y\n")
    assert "(1/1)" in asked
    assert "6,497 wines" not in asked
    assert filtered.git("status", "--short") == f"M  {COMMITTED}\n"


def test_stash_switch_and_merge_work_with_a_notebook_that_was_run(filtered: Clone) -> None:
    filtered.git("switch", "--quiet", "-c", "dev-ana")
    filtered.run_and_save("Part 1.1: our own title")
    filtered.git("stash")
    assert filtered.notebook.read_bytes() == filtered.original
    filtered.git("stash", "pop")
    filtered.git("commit", "--quiet", "-am", "Another title")
    filtered.run_and_save()
    filtered.git("add", "-u")
    filtered.git("switch", "--quiet", "main")
    filtered.run_and_save()
    filtered.git("add", "-u")
    filtered.git("merge", "--quiet", "dev-ana")
    assert filtered.committed() == filtered.committed("dev-ana") == filtered.notebook.read_bytes()


def test_a_worktree_has_the_filter_too(filtered: Clone, tmp_path: Path) -> None:
    filtered.git("worktree", "add", "--quiet", str(tmp_path / "second"))
    filtered.run_and_save("Part 1.1: our own title")
    shutil.copy(filtered.notebook, tmp_path / "second" / COMMITTED)
    filtered.git("commit", "--quiet", "-am", "Another title", folder=tmp_path / "second")
    assert b"6,497 wines" not in filtered.committed("second")
    assert b"our own title" in filtered.committed("second")


def test_a_clone_without_the_filter_works_as_if_there_was_none(clone: Clone) -> None:
    clone.run_and_save()
    assert "filter" not in clone.git("commit", "-am", "With outputs")
    assert b"6,497 wines" in clone.committed()


def test_outputs_that_were_committed_before_the_filter_was_set_are_removed_by_a_renormalization(clone: Clone) -> None:
    clone.run_and_save()
    clone.commit("With outputs")
    set_filter(clone.folder)
    clone.git("add", "--renormalize", "src/workshop/notebooks")
    clone.git("commit", "--quiet", "--message", "Without outputs")
    assert clone.committed() == clone.original
    assert clone.has_outputs()


def test_an_environment_that_was_removed_does_not_disturb_git(clone: Clone, tmp_path: Path) -> None:
    set_filter(clone.folder, tmp_path / "removed" / "bin")
    clone.run_and_save()
    assert clone.git("status", "--short") == f" M {COMMITTED}\n"
    assert "error" not in clone.git("commit", "-am", "With outputs")


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n", "[]", ""], ids=["conflict", "not a notebook", "empty"])
def test_a_file_that_is_not_a_notebook_is_committed_as_it_is(filtered: Clone, content: str) -> None:
    filtered.notebook.write_text(content, encoding="utf-8")
    assert "Traceback" not in filtered.git("commit", "-am", "Not a notebook")
    assert filtered.committed().decode() == content


def test_the_environment_may_be_in_any_folder(clone: Clone, tmp_path: Path) -> None:
    scripts = tmp_path / "it's 100%f of käse"
    scripts.mkdir()
    (scripts / "nbstripout").symlink_to(SCRIPTS / "nbstripout")
    set_filter(clone.folder, scripts)
    clone.run_and_save()
    assert clone.git("diff") == ""


def test_outside_of_a_repository_nothing_is_set(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / ".gitattributes", tmp_path)
    set_filter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".gitattributes"]


def test_the_committed_notebooks_pass_through_the_filter_unchanged(clone: Clone) -> None:
    """Else each clone would show them as changed."""
    set_filter(clone.folder)
    paths = [path.relative_to(REPOSITORY).as_posix() for path in FOLDER.glob("*.ipynb")]
    for path in paths:
        staged = git.run(REPOSITORY, "show", f":{path}")
        (clone.folder / path).write_bytes(staged.stdout)
    assert clone.git("hash-object", *paths) == clone.git("hash-object", "--no-filters", *paths)
