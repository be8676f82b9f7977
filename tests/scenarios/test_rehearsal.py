"""The automated participant on a small course: it gets to the end, or says where it got stuck."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.team import Clone, git
from workshop.course import rehearsal
from workshop.course.page import Page, read_page

pytestmark = pytest.mark.integration

START = """\
# Part 0

```console
$ git clone <address of this repository> workshop && cd workshop
$ git config user.name Ana && git config user.email ana@example.org
$ ./train.sh
run 20261124T142449Z-ana took 3.1 s
AUC 0.810 on 6,497 wines
```
"""
CHANGE = """\
# Part 1

The AUC rises from 0.810 to 0.844 on 6,497 wines.

```diff
--- train.sh
-auc=0.810
+auc=0.844
```

```console
$ git commit --quiet -am "Train better" && git push --quiet origin HEAD:dev-ana
$ ./train.sh
…
AUC 0.844 on …
$ cat "$HOME/.gitconfig"
…
$ echo $?
1
```

```{code-block} console
:caption: Second terminal
$ echo ready; touch log; tail -f log
ready
```

```console
$ echo swapped >> log
```

```{code-block} console
:caption: Second terminal
swapped
```
"""
TRAIN = """\
#!/bin/sh
auc=0.810
test "$(git config user.name)" || { echo "Git has no user.name: set it." >&2; exit 1; }
test "$(cat wines.csv)" = 6497 || { echo "wines.csv is damaged: run git checkout wines.csv." >&2; exit 1; }
echo "run $(date -u +%Y%m%dT%H%M%SZ)-ana took 0.$$ s"
echo "AUC $auc on 6,497 wines"
"""
POLICY = """\
hook="$(git remote get-url origin)/hooks/pre-receive"
mkdir -p "$(dirname "$hook")"
printf '#!/bin/sh\\necho "dev-ana takes pull requests only." >&2\\nexit 1\\n' > "$hook"
chmod +x "$hook"
"""
GOOD = {"part_0.md": START, "part_1.md": CHANGE}


@pytest.fixture
def repository(tmp_path: Path) -> Clone:
    """A checkout of a small course."""
    made = Clone(tmp_path / "kit", {"wines.csv": "6497", "train.sh": TRAIN})
    (made.path / "train.sh").chmod(0o755)
    made.commit({}, "allow to run it")
    return made


def rehearse(
    repository: Clone, tmp_path: Path, pages: dict[str, str], compare: bool = False, rewrite: bool = False
) -> rehearsal.Outcome:
    with rehearsal.own_folder(keep=False) as folder:
        outcome = rehearsal.rehearse(
            read(tmp_path, pages), repository.path, folder, lambda _: None, compare=compare, rewrite=rewrite
        )
    assert not folder.exists()
    assert started_in(folder) == []
    return outcome


def read(tmp_path: Path, pages: dict[str, str]) -> list[Page]:
    docs = tmp_path / "docs"
    docs.mkdir(exist_ok=True)
    for name, text in pages.items():
        (docs / name).write_text(text, encoding="utf-8")
    return [read_page(docs / name) for name in pages]


def started_in(folder: Path) -> list[psutil.Process]:
    """Return the processes whose environment has the folder."""
    return [each for each in psutil.process_iter() if str(folder) in _environment(each).values()]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def test_the_course_gets_to_its_end(repository: Clone, tmp_path: Path) -> None:
    outcome = rehearse(repository, tmp_path, GOOD, compare=True)
    assert outcome.problems == []
    assert (outcome.pages, outcome.blocks, outcome.commands, outcome.edits, outcome.figures) == (2, 6, 10, 1, 3)


def test_a_wrong_command_a_wrong_output_and_a_wrong_figure_are_named(repository: Clone, tmp_path: Path) -> None:
    command = {**GOOD, "part_1.md": CHANGE.replace("origin HEAD", "workshop HEAD")}
    (stuck,) = rehearse(repository, tmp_path, command, compare=True).problems
    assert stuck.startswith('docs/part_1.md, line 12: `git commit --quiet -am "Train better" && git push ')
    assert "` ended with 128:\n    fatal: 'workshop' does not appear to be a git repository\n" in stuck
    output = {**GOOD, "part_0.md": START.replace("AUC 0.810", "AUC 0.811")}
    assert rehearse(repository, tmp_path, output, compare=True).problems == [
        "docs/part_0.md, line 8: `./train.sh` does not print what the page shows:\n"
        "    expected: AUC 0.811 on 6,497 wines\n"
        "    printed:  AUC 0.810 on 6,497 wines"
    ]
    figure = {**GOOD, "part_1.md": CHANGE.replace("0.844 on 6,497", "0.854 on 6,497")}
    assert rehearse(repository, tmp_path, figure, compare=True).problems == [
        "docs/part_1.md, line 3: the figure 0.854 was not printed by the course: correct it."
    ]


def test_what_was_printed_is_written_into_the_pages(repository: Clone, tmp_path: Path) -> None:
    wrong = {**GOOD, "part_0.md": START.replace("AUC 0.810", "AUC 0.811")}
    assert rehearse(repository, tmp_path, wrong, rewrite=True).problems == []
    assert (tmp_path / "docs" / "part_0.md").read_text(encoding="utf-8") == START
    assert (tmp_path / "docs" / "part_1.md").read_text(encoding="utf-8") == CHANGE


@pytest.mark.parametrize("broken", ["no identity", "a policy that refuses the push", "a damaged file"])
def test_a_broken_set_up_is_named(repository: Clone, tmp_path: Path, broken: str) -> None:
    pages = dict(GOOD)
    if broken == "no identity":
        pages["part_0.md"] = START.replace("$ git config user.name Ana && git config user.email ana@example.org\n", "")
        expected = "docs/part_0.md, line 5: `./train.sh` ended with 1:\n    Git has no user.name: set it."
    elif broken == "a damaged file":
        repository.commit({"wines.csv": "64"}, "damage it")
        expected = (
            "docs/part_0.md, line 6: `./train.sh` ended with 1:\n    wines.csv is damaged: run git checkout wines.csv."
        )
    else:
        repository.commit({"policy.sh": POLICY}, "a policy")
        pages["part_0.md"] = START.replace("$ ./train.sh", "$ sh policy.sh\n$ ./train.sh")
        expected = (
            'docs/part_1.md, line 12: `git commit --quiet -am "Train better" && git push --quiet origin HEAD:dev-ana` '
            "ended with 1:\n    remote: dev-ana takes pull requests only."
        )
    (problem,) = rehearse(repository, tmp_path, pages).problems
    assert problem.startswith(expected)


def test_nothing_leads_out_of_the_participants_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKSHOP_HOME", "MLFLOW_TRACKING_URI", "DATABRICKS_HOST", "GIT_DIR", "PYTHONPATH", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    variables = rehearsal.environment(tmp_path / "own")
    assert [name for name, value in variables.items() if "elsewhere" in value] == []
    assert variables["HOME"] == str(tmp_path / "own" / "home")


def test_an_interrupt_ends_what_was_started(repository: Clone, tmp_path: Path) -> None:
    page = START.replace("$ ./train.sh\n", "$ setsid sleep 600 & bash -c 'kill -INT $REHEARSING; sleep 600'\n")
    os.environ["REHEARSING"] = str(os.getpid())
    try:
        with pytest.raises(KeyboardInterrupt), rehearsal.own_folder(keep=False) as folder:
            rehearsal.rehearse(read(tmp_path, {"part_0.md": page}), repository.path, folder, lambda _: None)
    finally:
        del os.environ["REHEARSING"]
    assert not folder.exists()
    assert started_in(folder) == []


def test_the_checkout_stays_as_it_was(repository: Clone, tmp_path: Path) -> None:
    rehearse(repository, tmp_path, GOOD)
    listed = ["git", "-C", str(repository.path), "for-each-ref", "--format=%(refname)"]
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == "refs/heads/main\n"


def test_a_shallow_and_detached_checkout_will_do(repository: Clone, tmp_path: Path) -> None:
    shallow = Clone(tmp_path / "shallow", {})
    git(shallow.path, "fetch", "--quiet", "--depth=1", f"file://{repository.path}", "main")
    git(shallow.path, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    assert rehearse(shallow, tmp_path, GOOD, compare=True).problems == []
