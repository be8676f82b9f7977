import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import nbformat
import pytest
from PIL import Image

from tests.support import chromium
from tests.unit.runner.test_summary import FIELDS
from workshop.core.promotion.outcome import Decision, Guard, Looks, Outcome, RunStatus, Status
from workshop.runner import report
from workshop.runner.summary import Failure, NotebookResult, Summary

ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
HOLDERS: dict[str, str | None] = {"production": "1", "staging": None, "previous": None}
DECISION = Decision(
    verdict="not better",
    reason="The candidate <is> not better.",
    rows=1064,
    positives=210,
    confidence=0.975,
    min_improvement=0.0,
    guards=[
        Guard("loads <well>", True, "Version <2> was loaded.", "callers"),
        Guard("not worse on red wines", False, "On <red> wines it lost 0.0400.", "verdict", {"difference": -0.04}),
        Guard("not worse on sweet wines", None, "3 sweet wines.", "verdict"),
    ],
    looks=Looks(number=2, false_promotion_chance=0.05, corrected_confidence=0.9958),
    auc_candidate=0.8,
    auc_champion=0.81,
    difference=-0.01,
    standard_error=0.01,
    lower_bound=-0.03,
    upper_bound=0.01,
    p_value=0.84,
    notes=["This is look <2>.", "It reproduces version 3."],
)
OUTCOME = Outcome(
    status="not better",
    sentence="Version 2 is not better.",
    model_name="wine_quality",
    candidate_version="2",
    champion_version="1",
    rows="production@0",
    slots_before=HOLDERS,
    slots_after=HOLDERS,
    decision=DECISION,
)


REFUSED = replace(
    OUTCOME,
    status="refused",
    decision=Decision(
        verdict="refused",
        reason="The candidate is refused.",
        rows=1064,
        positives=210,
        confidence=0.975,
        min_improvement=0.0,
        guards=[Guard("loads", False, "It can't be loaded.", "callers")],
        looks=Looks(number=1, false_promotion_chance=0.025, corrected_confidence=0.9875),
    ),
)


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.classes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if identifier := named.get("id"):
            self.ids.append(identifier)
        self.classes += (named.get("class") or "").split()
        if tag in ("img", "script", "link", "iframe"):
            self.sources.append(named.get("src") or named.get("href") or "")


def write_report(
    folder: Path, *, failure: Failure | None = None, outcome: Outcome = OUTCOME, status: RunStatus | None = None
) -> Path:
    """A report of two notebooks, the second of which has decided, and of one that was not run."""
    results = [NotebookResult(name="part_1_4_scoring", status="not run")]
    for name, bundle in (
        ("part_1_3_evaluating", {"text/html": "<p>x</p>", "text/plain": "x"}),
        ("part_1_1_data_prep", {"text/plain": "y"}),
    ):
        plot = nbformat.v4.new_output("display_data", {"image/png": ONE_PIXEL, "text/plain": "plot"})
        shown = nbformat.v4.new_output("display_data", bundle)
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [
            nbformat.v4.new_markdown_cell(f"## Heading of {name}"),
            nbformat.v4.new_code_cell("draw()", outputs=[plot, shown]),
        ]
        nbformat.write(notebook, folder / f"{name}.ipynb")
        output = str(folder / f"{name}.ipynb")
        results.insert(0, NotebookResult(name=name, status="succeeded", seconds=1, output=output, error=failure))
    fields = {
        **FIELDS,
        "status": status or outcome.status,
        "sentence": outcome.sentence,
        "outcome": outcome.as_dict(),
    }
    path = folder / "report.html"
    report.write(Summary.model_validate({**fields, "notebooks": results}), path)
    return path


def test_the_decision_comes_first_then_the_pictures_then_the_notebooks(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    wanted = [
        "decision",
        "run",
        "pictures",
        "notebooks",
        "part_1_1_data_prep",
        "part_1_3_evaluating",
        "part_1_4_scoring",
    ]
    assert [identifier for identifier in page.ids if identifier in wanted] == wanted


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert len(Page(text).sources) == 4  # each picture once in its place and once in its notebook
    assert all(source.startswith("data:image/png;base64,") for source in Page(text).sources)
    assert not re.search(r"@import|url\(\s*['\"]?http", text)


def test_figures_and_sentences_are_there_and_escaped(tmp_path: Path) -> None:
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Version 2 is not better." in text
    assert "The candidate &lt;is&gt; not better." in text
    assert "0.8100" in text and "-0.0300" in text and "1,064" in text
    assert "Heading of part_1_1_data_prep" in text


def test_guards_that_hold_and_guards_that_veto_are_shown_and_escaped(tmp_path: Path) -> None:
    text = write_report(tmp_path).read_text(encoding="utf-8")
    listed = re.findall(r'<li class="(holds|vetoes|unjudged)"><b>(.*?)</b> (.*?)</li>', text)
    assert listed == [
        ("holds", "loads &lt;well&gt;", "Version &lt;2&gt; was loaded."),
        ("vetoes", "not worse on red wines", "On &lt;red&gt; wines it lost 0.0400."),
        ("unjudged", "not worse on sweet wines", "not judged: 3 sweet wines."),
    ]
    kinds = ("", ".vetoes", ".unjudged")
    marks = [re.search(rf"\.guards li{kind}::before {{ content: \"(.)\"", text) for kind in kinds]
    assert [mark and mark.group(1) for mark in marks] == ["✓", "✗", "–"]


def test_notes_are_shown_and_escaped(tmp_path: Path) -> None:
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert re.findall(r'<p class="note">(.*?)</p>', text) == ["This is look &lt;2&gt;.", "It reproduces version 3."]


def test_a_refused_candidate_without_an_auc_is_shown_with_what_it_failed(tmp_path: Path) -> None:
    text = write_report(tmp_path, outcome=REFUSED).read_text(encoding="utf-8")
    assert "The candidate is refused." in text
    assert "It can&#39;t be loaded." in text
    assert "1,064" in text
    for missing in ("AUC, candidate", "AUC, champion", "p-value", "None"):
        assert missing not in text


def test_a_baseline_is_shown_without_a_champion(tmp_path: Path) -> None:
    decision = replace(REFUSED.decision, verdict="baseline", auc_candidate=0.8123)
    outcome = replace(OUTCOME, status="promoted", decision=decision)
    text = write_report(tmp_path, outcome=outcome).read_text(encoding="utf-8")
    assert "0.8123" in text and "AUC, candidate" in text
    assert "AUC, champion" not in text


@pytest.mark.parametrize("status", get_args(RunStatus))
def test_each_status_has_its_colours(tmp_path: Path, status: RunStatus) -> None:
    text = write_report(tmp_path, status=status).read_text(encoding="utf-8")
    name = status.replace(" ", "-")
    assert Page(text).classes[:3] == ["card", "verdict", name]
    (rule,) = re.findall(rf"\.{name}\b[^{{}}]*{{([^}}]*)}}", text)
    expected = {"not better": "no", "vetoed": "no", "refused": "bad", "failed": "bad", "interrupted": "bad"}
    tone = expected.get(status, "good")
    assert f"--tone: var(--{tone});" in rule and f"--tone-soft: var(--{tone}-soft);" in rule


def test_a_failure_is_shown_with_the_cell_and_its_code(tmp_path: Path) -> None:
    failure = Failure(notebook="part_1_3_evaluating", cell=4, source="a < b", message="it broke.")
    text = write_report(tmp_path, failure=failure).read_text(encoding="utf-8")
    assert "part_1_3_evaluating, cell 4" in text
    assert "a &lt; b" in text


def test_the_page_of_a_run_is_a_link_where_the_sentence_names_it(tmp_path: Path) -> None:
    page = "https://adb-1.azuredatabricks.net/?o=1&a=2#job/3/run/4"
    result = NotebookResult(name="part_1_1_data_prep", status="interrupted")
    sentence = f"Stopped <here>, and the run was cancelled ({page}); run it again."
    fields = {**FIELDS, "sentence": sentence, "run_page": page, "data_version": {}, "notebooks": [result]}
    report.write(Summary.model_validate(fields), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    link = f'<a href="{page.replace("&", "&amp;")}">its page</a>'
    assert f"<h1>Stopped &lt;here&gt;, and the run was cancelled ({link}); run it again.</h1>" in text
    assert "<th>data</th><td>–</td>" in text
    assert "It has no page." in text


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("chromium") is None, reason="headless Chromium is not installed here")
def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *offline, f"--user-data-dir={tmp_path / 'browser'}",
         "--window-size=1000,900", f"--screenshot={picture}", write_report(tmp_path).as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with Image.open(picture) as shown:
        assert shown.size == (1000, 900)
        colours = {shown.convert("RGB").getpixel(place) for place in ((5, 5), (500, 34), (500, 60))}
    assert colours == {(246, 245, 242), (138, 28, 74), (255, 255, 255)}  # ground, the verdict's edge, the card


_CODE = """# a comment
from os import path as p

@p.lazy
def pour(glass: int = 1, *, full: bool = True) -> str:
    return f"{glass:.1f} glasses" if full else str(None)
"""


@chromium.needed
@pytest.mark.integration
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_readable_in_both_themes_and_on_a_phone(dark: bool, tmp_path: Path) -> None:
    path = tmp_path / "part_1_3_evaluating.ipynb"
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell(f"| a | b |\n|---|---|\n| {'wide ' * 90} | `{'z' * 300}` |"),
        nbformat.v4.new_code_cell(_CODE),
        *(
            nbformat.v4.new_code_cell("outcome", outputs=[nbformat.v4.new_output("display_data", bundle)])
            for status in get_args(Status)
            for bundle in [replace(OUTCOME, status=status)._repr_mimebundle_()]
        ),
    ]
    nbformat.write(notebook, path)
    broken = Failure(notebook=path.stem, cell=4, source="x" * 300, message=f"{'y' * 300} broke.")
    result = NotebookResult(name=path.stem, status="failed", output=str(path), error=broken)
    pages = {}
    for status in ("promoted", "not better", "failed"):
        fields = {**FIELDS, "status": status, "outcome": OUTCOME.as_dict(), "notebooks": [result]}
        report.write(Summary.model_validate(fields), tmp_path / "report.html")
        pages[status] = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert chromium.unreadable(pages, dark=dark) == []
