"""A run in a checkout that Git does not trust, as in a container that mounts it."""

import shutil
from pathlib import Path

import pytest

from tests.support.clones import REPOSITORY
from tests.support.commands import latest_summary, workshop_here

pytestmark = pytest.mark.integration


def test_a_run_prints_and_records_why_its_commit_is_unknown(home: Path, fresh_store: Path) -> None:
    home.mkdir()
    shutil.copy(fresh_store, home / "mlflow.db")
    advice = f"git config --global --add safe.directory {REPOSITORY}"
    done = workshop_here("run", "--notebooks", "1_1", GIT_TEST_ASSUME_DIFFERENT_OWNER="1", COLUMNS="1000")
    assert done.code == 0, done.out + done.err
    assert advice in done.out + done.err
    summary = latest_summary(home)
    assert (summary["git_commit"], advice in summary["commit_problem"]) == ("unknown", True)
    assert advice in Path(summary["report"]).read_text(encoding="utf-8")
