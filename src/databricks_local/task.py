"""The execution of one task's notebook, in a process of its own: `python task.py spec.json`.

papermill passes no parameters: the notebook reads widgets of the `dbutils` that `notebook_utilities.py` defines before
the first cell. The result is written to `result.json`, unless the kernel dies.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

# Its import builds a grammar, which takes longer than all the rest; no notebook's schema needs it.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

import nbformat  # noqa: E402
import papermill  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_UTILITIES = Path(__file__).with_name("notebook_utilities.py")


def main(spec_file: Path) -> None:
    """Execute the notebook of the specification."""
    spec = json.loads(spec_file.read_text(encoding="utf-8"))
    folder = Path(spec["folder"])
    executed, exited = folder / "executed.ipynb", folder / "exit.txt"
    _inject_utilities(spec_file, folder)
    error: str | None = None
    trace: str | None = None
    result: str | None = None
    try:
        papermill.execute_notebook(
            _literal(spec["notebook"]),
            _literal(executed),
            {},
            kernel_name="python3",
            progress_bar=False,
            cwd=spec["working_folder"],
        )
    except PapermillExecutionError as failure:
        if failure.ename == "NotebookExit" and exited.exists():
            result = exited.read_text(encoding="utf-8")
            _mark_exit(executed)
        else:
            error = _ANSI.sub("", f"{failure.ename}: {failure.evalue}")
            trace = _ANSI.sub("", "\n".join(failure.traceback))
    content = {"result": result, "error": error, "error_trace": trace}
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


def _literal(path: object) -> str:
    """Return a path for papermill, which reads {…} in a path as a parameter."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _inject_utilities(spec_file: Path, folder: Path) -> None:
    """Have IPython run `notebook_utilities.py` in the notebook's own namespace before its first cell."""
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-dbutils.py").write_text(
        "import runpy as _runpy\n"
        f"dbutils = _runpy.run_path({str(_UTILITIES)!r})['utilities']({str(spec_file)!r})\n"
        "del _runpy\n",
        encoding="utf-8",
    )


def _mark_exit(executed: Path) -> None:
    """Show the exit of the notebook in place of the error that papermill made of it."""
    notebook: Any = nbformat.read(executed, as_version=4)
    notebook.cells = [
        cell for cell in notebook.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    for cell in notebook.cells:
        for place, output in enumerate(cell.get("outputs", [])):
            if output.output_type == "error" and output.ename == "NotebookExit":
                cell.outputs[place] = nbformat.v4.new_output("stream", text=f"Notebook exited: {output.evalue}\n")
    nbformat.write(notebook, executed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
