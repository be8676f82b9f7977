"""`make docs`: the site, from the pages and from notebooks that were executed for it.

The pages are copied with the tree around them, so that their links lead from page to page as they do in the repository.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from workshop.runner import kernels

ROOT = Path(__file__).parents[1]
COPIED = ("docs", "src", ".azure_pipelines", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
"""The pages, and what they link to."""
NOTEBOOKS = Path("src/workshop/notebooks")
_START = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/index.html">'
_START += '<title>The workshop</title><a href="docs/index.html">The workshop</a>\n'


def copy(source: Path) -> None:
    """Copy the pages and what they link to."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)


def execute(folder: Path, home: Path) -> None:
    """Execute the notebooks in order, in place, as a participant does who runs all cells of each."""
    environment = {**os.environ, "WORKSHOP_HOME": str(home)}
    for path in sorted(folder.glob("part_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with kernels.kernel(environment, folder, home.parent / "kernel.log") as manager:
            NotebookClient(notebook, km=manager, timeout=None).execute()
        path.write_text(nbformat.writes(notebook).replace(str(home), ".workshop"), encoding="utf-8")


def render(source: Path, site: Path) -> int:
    """Let Sphinx make the site, every warning an error; return its exit code."""
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--builder", "html", "--jobs", "auto"]
    places = ["--conf-dir", str(ROOT / "docs"), "--doctree-dir", str(site / "doctrees")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *places, source, site / "html"], check=False
    ).returncode


def main(site: Path) -> int:
    """Build the site in a folder, whose content is removed first; return the exit code."""
    started = time.monotonic()
    shutil.rmtree(site, ignore_errors=True)
    source = site / "source"
    source.mkdir(parents=True)
    kernels.begin_warming()
    copy(source)
    execute(source / NOTEBOOKS, site / "home")
    executed = time.monotonic()
    if code := render(source, site):
        return code
    (site / "html" / "index.html").write_text(_START, encoding="utf-8")
    size = sum(path.stat().st_size for path in (site / "html").rglob("*") if path.is_file())
    now = time.monotonic()
    print(f"The site is built, {size / 1e6:.1f} MB: {site / 'html' / 'docs' / 'index.html'}")
    print(f"{executed - started:.0f} s for the notebooks, {now - executed:.0f} s for the pages.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
