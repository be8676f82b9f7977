"""The table of endpoints in README.md: `python -m databricks_local.endpoints` prints it."""

import re
import tempfile
from pathlib import Path

from databricks_local.registry import Registry
from databricks_local.unity_catalog_models import UNITY_CATALOG, UnityCatalogModels
from databricks_local.workspace import running


def table() -> str:
    """Return the endpoints as a Markdown table, with the module that implements each."""
    with tempfile.TemporaryDirectory() as temporary, running(Path(temporary)) as workspace:
        rows = [(method, _readable(path), handler.__module__) for method, path, handler in workspace.routes]
    calls = Registry("", Path(), lambda _: True).unity_catalog.calls
    rows += [(method, f"{UNITY_CATALOG}{name}", UnityCatalogModels.__module__) for method, name in calls]
    lines = [
        f"| {method} | `{path}` | {module.rpartition('.')[2]} |" for method, path, module in sorted(rows, key=_key)
    ]
    return "\n".join(["| method | path | module |", "|---|---|---|", *lines])


def _key(row: tuple[str, str, str]) -> tuple[str, str, str]:
    method, path, module = row
    return module, path, method


def _readable(pattern: str) -> str:
    """Return a route's expression with {name} for a group."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern).replace("\\", "").replace("[^/]+", "{id}")


if __name__ == "__main__":
    print(table())
