"""What the project promises about itself: its pins, its layers, its size."""

import ast
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workshop.core.settings import PACKAGE

ROOT = PACKAGE.parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(module: Path) -> set[str]:
    """The full names of what a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def pinned(file: str = "requirements.txt") -> dict[str, str]:
    """The versions of a file of requirements, by package."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))


def test_conda_users_get_the_pins_of_requirements_txt() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (from_pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert plain == [f"python{project['requires-python']}", "pip"]
    assert from_pip == ["-r requirements.txt"]


def test_the_pins_are_complete_so_that_pip_needs_no_resolver() -> None:
    pins = pinned()
    for name in pins.keys() & {canonicalize_name(found.name) for found in importlib.metadata.distributions()}:
        wanted = map(Requirement, importlib.metadata.requires(name) or [])
        needed = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
        assert [str(each) for each in needed if not each.specifier.contains(pins[canonicalize_name(each.name)])] == []


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-spark.txt"])
def test_every_dependency_is_pinned_and_every_pin_has_digests(file: str) -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    everybodys = [described["project"]["dependencies"], *described["project"]["optional-dependencies"].values()]
    groups = {"requirements.txt": everybodys, "requirements-spark.txt": [described["dependency-groups"]["spark"]]}
    wanted = {re.split(r"[\[<>=; ]", name)[0].lower().replace(".", "-") for group in groups[file] for name in group}
    assert wanted - set(pinned(file)) == set()
    assert ("pyspark" in pinned(file)) == (file == "requirements-spark.txt")  # 450 MB that a participant never needs
    entries = re.split(r"^(?=[a-z0-9._-]+==)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [entry.split()[0] for entry in entries[1:] if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-spark.txt",
        "environment.yml",
        "Makefile",
        "pyproject.toml",
        "README.md",
        ".ci/run",
    ],
)
def test_no_package_index_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"pypi\.|index-url =|--index-url|--extra-index|https?://[^\s]*simple", text)


@pytest.mark.parametrize("module", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_knows_no_runner_no_command_line_and_no_vendor(module: Path) -> None:
    foreign = (
        "papermill",
        "typer",
        "databricks",
        "azure",
        "workshop.runner",
        "workshop.serving",
        "azure_devops_local",
        "workshop.cli.app",
    )
    assert [name for name in imports(module) if name.startswith(foreign)] == []


def test_nothing_imports_from_the_command_line_or_from_notebooks() -> None:
    assert [
        (module.name, name)
        for module in MODULES
        for name in imports(module)
        if name.startswith(("workshop.cli.app", "workshop.notebooks"))
        and not module.name.startswith(("__main__", "cli"))
    ] == []


def test_modules_are_small() -> None:
    modules = sorted(PACKAGE.parent.rglob("*.py"))
    lengths = {str(module.relative_to(ROOT)): len(module.read_text("utf-8").splitlines()) for module in modules}
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}
