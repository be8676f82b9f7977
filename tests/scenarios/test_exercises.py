"""The exercises: an automated participant does each of them, and sees what the page shows."""

from pathlib import Path

import pytest

from workshop.core.settings import PACKAGE
from workshop.course import rehearsal
from workshop.course.page import read_page

ROOT = PACKAGE.parents[1]
SET_UP = f"""\
# Set-up

```console
$ git clone --quiet {rehearsal.ADDRESS} workshop && cd workshop
$ make setup
$ source .venv/bin/activate
$ git config user.name Ana && git config user.email ana@example.org
```
"""


@pytest.mark.integration
@pytest.mark.thorough  # `make course` runs it
def test_each_exercise_shows_what_its_page_says_and_leaves_a_clean_checkout(tmp_path: Path) -> None:
    (tmp_path / "set_up.md").write_text(SET_UP, encoding="utf-8")
    pages = [read_page(tmp_path / "set_up.md"), read_page(ROOT / "docs" / "exercises.md")]
    clean = tmp_path / "clean.md"
    clean.write_text(
        "# Clean\n\n```console\n$ git status --short --branch\n## main...origin/main\n```\n", encoding="utf-8"
    )
    with rehearsal.own_folder(keep=False) as folder:
        outcome = rehearsal.rehearse([*pages, read_page(clean)], ROOT, folder, print, compare=True)
    assert outcome.problems == []
    assert outcome.pages == 3


def test_each_exercise_begins_on_a_branch_of_its_own_and_has_an_answer() -> None:
    text = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
    _, *exercises = text.split("\n## ")
    assert len(exercises) == 5
    for exercise in exercises:
        begins = exercise.index("$ git switch --quiet --no-track --create dev-ana-")
        answer, ends = exercise.index(":::{dropdown} Answer"), exercise.rindex("git switch --quiet -\n")
        assert begins < exercise.index("```diff") < answer < ends
