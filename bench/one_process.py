"""The floor under `workshop run`: the notebooks' code, executed in one interpreter.

No kernel, no papermill, no executed notebook, no report, no drawn pictures, and every library imported once. Nothing
that runs notebooks as notebooks can be this fast; the distance to it is what running them costs.

`python -m bench.one_process PARAMETERS`, as JSON: each notebook's path with its parameters.
"""

import json
import sys
from pathlib import Path
from typing import Any


def execute(notebook: Path, parameters: dict[str, Any]) -> None:
    """Execute the code cells in a namespace of their own; parameters replace the tagged cell's values behind it."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        exec(compile("".join(cell["source"]), f"{notebook.name}[{number}]", "exec"), namespace)
        if "parameters" in cell["metadata"].get("tags", []):
            namespace.update(parameters)


if __name__ == "__main__":
    for path, values in json.loads(sys.argv[1]).items():
        execute(Path(path), values)
