import re
import shutil
from pathlib import Path

import pytest

from azure_devops_local.check import VARIABLES, problems, scheduled, settings, unfilled
from azure_devops_local.language.documents import FOLDER, WorkTree
from azure_devops_local.server import changes
from tests.support.commands import workshop_here
from workshop.cli.devops import CHOICES, USED_ONLY_WITH
from workshop.core.settings import PACKAGE

ROOT = PACKAGE.parents[1]
GOOD = """trigger:
  branches: {include: [main]}
  paths: {include: [src/**, README.md]}
parameters:
  - {name: loud, type: boolean, default: 'false'}
variables:
  - template: variables.yml
jobs:
  - job: work
    steps:
      - ${{ if parameters.loud }}:
          - template: templates/loud.yml
      - ${{ if eq(variables.target, 'databricks') }}:
          - bash: echo cloud
            condition: succeeded()
      - bash: echo always
"""


@pytest.fixture
def tree(tmp_path: Path) -> WorkTree:
    """A small repository whose one pipeline is in order."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / FOLDER / "templates").mkdir(parents=True)
    (tmp_path / VARIABLES).write_text(
        "variables:\n  #setup Where it runs.\n  #      More of it.\n  - name: target\n    value: local\n"
        "  #setup Ask the administrator.\n  - name: serviceConnection\n    value: <service connection>\n"
    )
    (tmp_path / FOLDER / "templates" / "loud.yml").write_text("steps:\n  - bash: echo LOUD\n")
    (tmp_path / FOLDER / "cd.yml").write_text(GOOD)
    return WorkTree(tmp_path)


def change(tree: WorkTree, old: str, new: str, file: str = "cd.yml") -> None:
    path = tree.root / FOLDER / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_our_settings_have_instructions() -> None:
    found = settings(WorkTree(ROOT))
    text = (ROOT / VARIABLES).read_text(encoding="utf-8")
    assert len(found) == text.count("- name:") == 14
    assert {setting.name for setting in found if setting.is_open} == {
        "workspaceUrl", "serviceConnection", "databricksHome"
    }  # fmt: skip
    assert all(len(setting.where) > 20 for setting in found)


def test_a_repository_in_order_has_no_problem(tree: WorkTree) -> None:
    assert problems(tree, CHOICES) == []
    target, connection = settings(tree)
    assert (target.name, target.value, target.where, target.is_open) == ("target", "local", "Where it runs.", False)
    assert (connection.is_open, str(connection.place)) == (True, f"{VARIABLES}, line 8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("src/**", "source/**", "cd.yml, line 3: the path filter source/** matches nothing in the repository"),
        ("README.md", "READ.md", "cd.yml, line 3: the path filter READ.md matches nothing"),
        ("templates/loud.yml", "templates/quiet.yml", "cd.yml, line 12: "),
        ("condition: succeeded()", "condition: suceeded()", "cd.yml, line 15: "),
        ("bash: echo cloud", "bash: echo $(Build.Nothing)", "cd.yml, line 14: "),
        ("- job: work", "- job: work\n    dependsOn: missing", "cd.yml, line 10: "),
        ("  branches: {include: [main]}\n", "", "cd.yml, line 2: `paths` needs `branches` beside it"),
        ("{name: loud, type", "{type", "cd.yml, line 5: a parameter is declared as `- name: …`"),
        ("{name: loud, type", "{name: [a], type", "cd.yml, line 5: a parameter is declared as `- name: …`"),
    ],
    ids=["folder", "file", "template", "function", "variable", "dependsOn", "paths alone", "nameless", "odd name"],
)
def test_mistakes_are_found_in_every_branch_of_a_file(tree: WorkTree, old: str, new: str, message: str) -> None:
    change(tree, old, new)
    (problem,) = problems(tree, CHOICES)
    assert message in problem


def test_schedules_are_listed(tree: WorkTree) -> None:
    schedule = "{cron: 0 3 * * 1, displayName: weekly, branches: {include: [main]}}"
    change(tree, "trigger:", f"schedules:\n- {schedule}\ntrigger:")
    assert problems(tree) == []
    (found,) = scheduled(tree)
    assert str(found) == f"{FOLDER}/cd.yml, line 2: the schedule `0 3 * * 1` (weekly) starts runs in Azure DevOps only."
    change(tree, "0 3 * * 1", "daily")
    assert (scheduled(tree), len(problems(tree))) == ([], 1)


def test_no_pipelines_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(WorkTree(tmp_path))
    assert problem.startswith("There are no pipelines in ")


def test_our_own_pipelines_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    checked = workshop_here("pipelines", "check")
    assert checked.code == 0, checked.out
    assert "The pipelines are in order; no value that they need is a placeholder." in checked.out


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({}, []),
        ({"target": "databricks"}, ["workspaceUrl", "serviceConnection", "databricksHome"]),
        ({"target": "databricks", "signIn": "oidc"}, ["workspaceUrl", "databricksHome"]),
    ],
)
def test_the_choices_decide_which_values_are_needed(chosen: dict[str, str], left: list[str], tmp_path: Path) -> None:
    assert [
        setting.name for setting in unfilled(WorkTree(checkout_that_chooses(chosen, tmp_path)), USED_ONLY_WITH)
    ] == left


def test_ready_fails_for_a_placeholder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = checkout_that_chooses({"target": "databricks", "signIn": "oidc"}, tmp_path)
    monkeypatch.setattr(changes, "top_level", lambda _: copied)
    checked = workshop_here("pipelines", "check", "--ready")
    assert checked.code == 1, checked.out
    assert [name for name in ("workspaceUrl", "databricksHome") if f": {name} still holds " not in checked.out] == []


def checkout_that_chooses(chosen: dict[str, str], folder: Path) -> Path:
    copied = folder / "checkout"
    shutil.copytree(ROOT / FOLDER, copied / FOLDER)
    for name in ("src", "tests"):
        (copied / name).symlink_to(ROOT / name)
    file = copied / VARIABLES
    text = file.read_text(encoding="utf-8")
    for name, value in chosen.items():
        text = re.sub(rf"(- name: {name}\n\s*value: ).*", rf"\g<1>{value}", text)
    file.write_text(text, encoding="utf-8")
    return copied
