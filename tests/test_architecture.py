"""The arrows between the packages: each may import those that are named here, and no other."""

import ast
from pathlib import Path

import pytest

from workshop.core.settings import PACKAGE

SOURCE = PACKAGE.parent
COMMON = "kit_common"
"""What every layer may import; it imports none of them."""
BASE = ("workshop.core",)
CORE = (*BASE, "workshop.core.data", "workshop.core.registry", "workshop.core.promotion", "workshop.core.scoring")
RESULT = "workshop.core.notebook_result"
ARROWS: dict[str, tuple[str, ...]] = {
    COMMON: (),
    "workshop": ("workshop.cli",),
    "workshop.cli": ("",),
    "workshop.course": ("azure_devops_local", *CORE),
    "workshop.doctor": ("workshop.databricks", "workshop.runner", "azure_devops_local", *CORE),
    "workshop.databricks": ("workshop.runner", RESULT, *CORE),
    "workshop.runner": (RESULT, *CORE),
    "workshop.serving": CORE,
    "workshop.azure": CORE,
    "workshop.core": (),
    RESULT: CORE,
    "workshop.core.data": BASE,
    "workshop.core.registry": (*BASE, "workshop.core.data.schemas"),
    "workshop.core.promotion": (*BASE, "workshop.core.data", "workshop.core.registry"),
    "workshop.core.scoring": (*BASE, "workshop.core.data", "workshop.core.registry"),
    "azure_devops_local": (),
    "databricks_local": (),
}
"""Each layer, and the layers that it may import besides itself; "" stands for all. A module belongs to the longest
name that fits."""
FOREIGN_TO_CORE = ("papermill", "typer", "databricks", "azure", "nbclient", "jupyter_client", "fastapi")


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(module: Path) -> set[str]:
    """The full names of all that a module imports, wherever in it, also under `TYPE_CHECKING`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = members & set(MODULES)
            found |= modules | ({node.module} if modules != members else set())
    return found


def layer_of(name: str) -> str:
    fitting = [layer for layer in ARROWS if name == layer or name.startswith(f"{layer}.")]
    return max(fitting, key=len, default="")


def is_allowed(importing: str, imported: str) -> bool:
    own, allowed = layer_of(importing), ARROWS[layer_of(importing)]
    return (
        layer_of(imported) in (own, COMMON, *allowed)
        or any(imported == each or imported.startswith(f"{each}.") for each in allowed if each not in BASE)
        or "" in allowed
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_along_the_arrows_only(name: str) -> None:
    ours = {each for each in imports(MODULES[name]) if layer_of(each)}
    assert {each for each in ours if not is_allowed(name, each)} == set()


@pytest.mark.parametrize("name", [each for each in MODULES if each.startswith("workshop.core")])
def test_core_imports_no_runner_no_command_line_and_no_vendor(name: str) -> None:
    assert [each for each in imports(MODULES[name]) if each.split(".")[0] in FOREIGN_TO_CORE] == []


def test_no_two_modules_import_each_other() -> None:
    """At any distance: the modules that are left once those without an import of another are taken away."""
    left = {
        name: {each for each in imports(path) if each in MODULES and each != name} for name, path in MODULES.items()
    }
    while free := {name for name, needed in left.items() if not needed & set(left)}:
        left = {name: needed for name, needed in left.items() if name not in free}
    assert set(left) == set()
