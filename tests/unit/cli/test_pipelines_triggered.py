import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit_common.errors import UsageError
from tests.support.commands import workshop
from workshop.cli.app import app

ROOT = Path(__file__).parents[3]
TRAINING = "src/workshop/notebooks/part_1_2_training.ipynb"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the repository's pipelines; the current folder."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / ".azure_pipelines", folder / ".azure_pipelines")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    return folder


def answer_of(*arguments: str, stdin: str | bytes = "") -> str:
    answer = CliRunner().invoke(app, ["pipelines", "triggered", *arguments], input=stdin, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_the_answer_as_json(clone: Path) -> None:
    answer = json.loads(answer_of("--branch", "main", "--changed", TRAINING, "--json"))
    assert answer == {
        "triggered": ["cd.yml"],
        "not": {
            "ci.yml": "the branch main is not included by `integration` (line 6)",
            "part_2_submit.yml": "it has `trigger: none`, so it is only started manually",
            "workshop_unit_test.yml": "the branch main is excluded by `main` (line 5)",
        },
    }


def test_the_answer_as_text(clone: Path) -> None:
    lines = answer_of("--branch", "dev-ana", "--changed", TRAINING).splitlines()
    assert [line[:2] + line[2:].split(":")[0] for line in lines] == [
        "✗ cd.yml", "✗ ci.yml", "✗ part_2_submit.yml", "✓ workshop_unit_test.yml"
    ]  # fmt: skip
    assert lines[0] == "✗ cd.yml: the branch dev-ana is not included by `main` (line 6)"


@pytest.mark.parametrize(
    "changed",
    [
        ("--changed", "README.md", "docs/a.md", TRAINING),
        ("--changed", "README.md", "--changed", TRAINING, "docs/a.md"),
        ("--changed", TRAINING, "--message", "a message", "docs/a.md"),
        (TRAINING, "--changed", "docs/a.md"),
    ],
)
def test_paths_may_follow_one_option_or_have_one_each(clone: Path, changed: tuple[str, ...]) -> None:
    answer = json.loads(answer_of("--branch", "integration", *changed, "--json"))
    assert answer["triggered"] == ["ci.yml"]


def test_ten_thousand_paths_come_through_standard_input(clone: Path) -> None:
    many = [f"docs/page_{number}.md" for number in range(10_000)]
    answer = json.loads(answer_of("--branch", "main", "--changed", "-", "--json", stdin="\n".join(many)))
    assert answer["triggered"] == []
    assert answer["not"]["cd.yml"] == "none of the 10000 changed files matches its path filters"
    answer = json.loads(answer_of("--branch", "main", "--changed", "-", TRAINING, "--json", stdin="\n".join(many)))
    assert answer["triggered"] == ["cd.yml"]
    piped = b"caf\xe9.py\r\n" + TRAINING.encode() + b"\r\n"
    assert json.loads(answer_of("--branch", "main", "--changed", "-", "--json", stdin=piped))["triggered"] == ["cd.yml"]


def test_a_message_can_skip_all_pipelines(clone: Path) -> None:
    answer = json.loads(answer_of("--branch", "main", "--changed", TRAINING, "--message", "Mend [skip ci]", "--json"))
    assert answer["triggered"] == []
    assert set(answer["not"].values()) == {"the message of a pushed commit contains [skip ci]"}


def test_the_files_are_those_of_the_checkout_around_the_current_folder(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".azure_pipelines" / "own.yml").write_text("trigger: [own]\nsteps: []\n", encoding="utf-8")
    (clone / "deep").mkdir()
    monkeypatch.chdir(clone / "deep")
    assert json.loads(answer_of("--branch", "own", "--json"))["triggered"] == ["own.yml"]


def test_a_checkout_without_pipelines_triggers_none(clone: Path) -> None:
    shutil.rmtree(clone / ".azure_pipelines")
    assert answer_of("--branch", "main") == "There are no pipelines in .azure_pipelines, so a push starts none.\n"
    assert json.loads(answer_of("--branch", "main", "--json")) == {"triggered": [], "not": {}}


def test_a_branch_name_is_not_executed(clone: Path) -> None:
    for name in ("x$(touch${IFS}pwned)", "x`touch${IFS}pwned`", "x;touch${IFS}pwned"):
        assert "workshop_unit_test.yml" in answer_of("--branch", name, "--changed", f"$(touch pwned)/{name}", TRAINING)
    assert {path.name for path in clone.iterdir()} == {".git", ".azure_pipelines"}


@pytest.mark.parametrize("name", ["a; rm -rf b", "../../x", "", "--help", "-x"])
def test_an_invalid_branch_name_is_refused(clone: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid branch name for Git"):
        CliRunner().invoke(app, ["pipelines", "triggered", f"--branch={name}"], catch_exceptions=False)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_an_invalid_file_is_named_and_the_others_are_judged(clone: Path, as_json: tuple[str, ...]) -> None:
    (clone / ".azure_pipelines" / "ci.yml").write_text("trigger:\n  branch: [integration]\nsteps: []\n")
    command = ["pipelines", "triggered", "--branch", "main", "--changed", TRAINING, *as_json]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 1
    assert ".azure_pipelines/ci.yml, line 2: `branch` is not a key of `trigger`" in answer.stdout
    assert '"cd.yml"' in answer.stdout if as_json else "✓ cd.yml" in answer.stdout


@pytest.mark.integration
def test_exit_codes_and_errors_of_the_command(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = workshop("pipelines", "triggered", "--branch", "main", "--changed", "docs/a.md", TRAINING, "--json")
    assert (answer.code, json.loads(answer.out)["triggered"]) == (0, ["cd.yml"])
    answer = workshop("pipelines", "triggered", "--branch", "a; rm -rf b")
    assert (answer.code, answer.out) == (2, "")
    assert answer.last_words == "✗ 'a; rm -rf b' is not a valid branch name for Git: correct it."
    monkeypatch.chdir(tmp_path)
    answer = workshop("pipelines", "triggered", "--branch", "main")
    assert (answer.code, answer.out) == (1, "")
    assert (
        answer.last_words == f"✗ {tmp_path} is not in a Git checkout: go to the folder that you cloned, then try again."
    )
