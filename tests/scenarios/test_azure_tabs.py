"""The commands of the Azure tabs run against the workspace and the team's repository on this machine.

What only the service can take is marked ☁ in the page.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from azure_devops_local.agent.checkout import make_thin_environment
from workshop.core.settings import PACKAGE
from workshop.course import rehearsal
from workshop.course.page import Command, read_page

pytestmark = pytest.mark.integration

ROOT = PACKAGE.parents[1]
PARTS = sorted((ROOT / "docs").glob("part_[0-9].md"))
PLACEHOLDERS = {
    "<address of the workspace>": '"$DATABRICKS_HOST"',
    "<folder for the tables>": '"$WORKSHOP_DATABRICKS_HOME"',
}
ALREADY_DONE = ["git switch --quiet -c dev-ana", "workshop run --target databricks --notebooks 0"]
"""Part 1's branch, and the platform team's tables of wine."""


def commands_of_azure() -> list[str]:
    """Return the commands that only the Azure tabs have, in order."""
    found = []
    for path in PARTS:
        elsewhere = {step.line for step in read_page(path).steps}
        steps = read_page(path, "azure").steps
        found += [step.text for step in steps if isinstance(step, Command) and step.line not in elsewhere]
    return found


def test_nine_in_ten_commands_of_azure_are_run_here() -> None:
    every = commands_of_azure()
    assert len([text for text in every if "☁" not in text]) >= 0.9 * len(every)


@pytest.mark.thorough  # `make course` runs it
def test_the_commands_of_azure_run_against_the_local_workspace(tmp_path: Path) -> None:
    clone, *lines = [text for text in commands_of_azure() if "☁" not in text]
    assert rehearsal.ADDRESS in clone
    published = rehearsal.publish(ROOT, tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(published), str(home / "workshop")], check=True)
    make_thin_environment(home / "workshop")
    first_push = next(at for at, text in enumerate(lines) if text.startswith("git push"))
    script = "\n".join(["set -euxo pipefail", *lines[:first_push], *ALREADY_DONE, *lines[first_push:]])
    for shown, value in PLACEHOLDERS.items():
        script = script.replace(shown, value)
    done = subprocess.run(
        [sys.executable, "-m", "workshop", "databricks", "local", "--", "bash", "-c", script],
        cwd=home / "workshop", env=rehearsal.environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pushed = subprocess.run(
        ["git", "branch", "--list", "dev-ana"], cwd=published, capture_output=True, text=True, check=True
    )
    assert pushed.stdout.strip() == "dev-ana"
