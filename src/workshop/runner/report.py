"""The run's report: one HTML file that needs no network, with the decision, the pictures and the notebooks."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from kit_common.files import write_whole
from kit_common.times import utc
from workshop.core.promotion.texts import percent
from workshop.runner.notebooks import EVALUATION
from workshop.runner.parameters_cell import renumber
from workshop.runner.summary import NotebookResult, Summary

DECISION_PICTURE = "decision.png"
"""Beside the report, if the notebook ran on Databricks."""


@dataclass(frozen=True)
class Picture:
    """A plot that a notebook drew."""

    notebook: str
    caption: str
    """The heading above it in the notebook."""
    png: str
    """Base64."""


@dataclass(frozen=True)
class Section:
    """One notebook in the report."""

    result: NotebookResult
    body: Markup
    """Empty if the notebook was not run, or is a page of its own beside the report."""
    page: str = ""
    """The name of that page."""


def write(summary: Summary, path: Path) -> None:
    """Write the report of a run beside its executed notebooks.

    Raises:
        OSError: the file can't be written.
    """
    executed = {result.name: notebook for result in summary.notebooks if (notebook := executed_notebook(result))}
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    sections = [
        Section(result, _body(exporter, executed[result.name]) if result.name in executed else Markup(), _page(result))
        for result in summary.notebooks
    ]
    all_pictures = [picture for name, notebook in executed.items() for picture in pictures(name, notebook)]
    environment = Environment(loader=PackageLoader("workshop.runner", "."), autoescape=True)
    environment.filters["percent"] = percent
    environment.filters["utc"] = utc
    environment.filters["with_link_to"] = _with_link_to
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        decision=summary.outcome.decision if summary.outcome else None,
        decision_pictures=decision_pictures(summary),
        pictures=[picture for picture in all_pictures if picture.notebook != EVALUATION],
        sections=sections,
        # Of Pygments' styles, those whose colours all have a contrast of at least 4.5 on the report's grounds.
        code_style=Markup(HtmlFormatter(style="xcode").get_style_defs(".highlight")),
        dark_code_style=Markup(HtmlFormatter(style="lightbulb").get_style_defs(".highlight")),
    )
    write_whole(path, page, errors="replace")  # an output may hold half of a surrogate pair


def _with_link_to(sentence: str, page: str) -> Markup:
    """Return the sentence, with a link in place of the page's address."""
    if not page:
        return escape(sentence)
    link = Markup('<a href="{}">its page</a>').format(page)
    return link.join(escape(part) for part in sentence.split(page))


def executed_notebook(result: NotebookResult) -> nbformat.NotebookNode | None:
    """Return the executed notebook; None if there is no file, as for Databricks, which exports a page instead."""
    path = Path(result.output or "")
    return nbformat.read(path, as_version=4) if path.suffix == ".ipynb" and path.is_file() else None


def decision_pictures(summary: Summary) -> list[Picture]:
    """Return the pictures of 1_3: from the executed notebook, or else the one that it handed over."""
    for result in summary.notebooks:
        if result.name == EVALUATION and (notebook := executed_notebook(result)):
            return pictures(result.name, notebook)
    path = Path(summary.report).with_name(DECISION_PICTURE)
    if not path.is_file():
        return []
    return [Picture(EVALUATION, "The decision", base64.b64encode(path.read_bytes()).decode("ascii"))]


def _page(result: NotebookResult) -> str:
    path = Path(result.output or "")
    return path.name if path.suffix == ".html" and path.is_file() else ""


def _body(exporter: HTMLExporter, notebook: nbformat.NotebookNode) -> Markup:
    renumber(notebook)
    body, _ = exporter.from_notebook_node(notebook)
    return Markup(body)


def pictures(name: str, notebook: nbformat.NotebookNode) -> list[Picture]:
    """Return the pictures of an executed notebook, in order."""
    found: list[Picture] = []
    heading = name
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), heading)
        for output in cell.get("outputs", []):
            data: dict[str, Any] = output.get("data", {})
            if "image/png" in data:
                found.append(Picture(name, heading, data["image/png"].replace("\n", "")))
    return found
