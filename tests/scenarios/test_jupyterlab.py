"""The notebooks in a real JupyterLab in Chromium: all cells run, without an error and without noise, in both themes."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support import chromium
from tests.support.browser import Listener, browser, violations
from tests.support.clones import NOTEBOOKS, checkout
from workshop.cli import lab

pytestmark = [pytest.mark.integration, pytest.mark.long, chromium.needed]
IN_ORDER = [
    "part_0_create_datasets",
    "part_1_1_data_prep",
    "part_1_2_training",
    "part_1_3_evaluating",
    "part_1_4_scoring",
]
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
MINUTES = 5
# The cells of the notebook in front, as JupyterLab holds them: those that are scrolled out of view have no elements.
_CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
  .filter(cell => cell.type === "code").map(cell => cell.toJSON())"""
# Without a connected kernel, JupyterLab would pass over the cells.
_IS_READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  return context?.isReady && context.session?.kernel?.status === "idle";
}"""
_HAS_RUN = f"""() => {{
  const cells = ({_CELLS})(), failed = cells.some(cell => cell.outputs.some(output => output.output_type === "error"));
  return ({_IS_READY})() && (failed || cells.every(cell => cell.execution_count));
}}"""


@contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """Run JupyterLab as `workshop lab` starts it; yield the address with its token."""
    options = ["--no-browser", "--port=0", "--LabApp.expose_app_in_browser=True"]
    environment = lab.environment({**os.environ, "WORKSHOP_HOME": str(home)})
    environment.pop("MPLBACKEND", None)
    server = subprocess.Popen(
        lab.command(options), env=environment, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        assert server.stderr
        lines = (re.search(r"http://127\S+token=\w+", line) for line in server.stderr)
        yield next(found.group() for found in lines if found)
    finally:
        server.terminate()
        server.communicate()


def run_all(page: Page, address: str, name: str) -> list[dict[str, Any]]:
    """Open a notebook, run all cells, and return the code cells with their outputs."""
    page.goto(address.replace("README.md?", f"{NOTEBOOKS}/{name}.ipynb?reset&"))
    page.wait_for_function(_IS_READY)
    page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.wait_for_function(_HAS_RUN)
    cells: list[dict[str, Any]] = page.evaluate(_CELLS)
    return cells


def noise(name: str, cells: list[dict[str, Any]]) -> list[str]:
    """Return the outputs that a reader would take for a problem."""
    return [
        f"{name}: {output.get('evalue') or output.get('text')}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error" or output.get("name") == "stderr"
    ]


def test_each_notebook_runs_in_jupyterlab_without_noise_and_is_readable_in_both_themes(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "CHECKOUT", checkout(tmp_path / "clone"))
    listener, found = Listener(), []
    with jupyterlab(home) as address, browser() as chrome:
        page = chrome.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(MINUTES * 60_000)
        page.on("pageerror", lambda error: listener.noise.append(str(error)))
        for name in IN_ORDER:
            cells = run_all(page, address, name)
            assert len(cells) > 2, name
            found += noise(name, cells)
            assert any(cell["outputs"] for cell in cells), name
            for theme in ("JupyterLab Dark", "JupyterLab Light"):
                page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
                page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
                found += [f"{name}, {theme}: {each}" for each in violations(page, ["color-contrast"], PANEL)]
    assert found == []
    assert listener.noise == []
