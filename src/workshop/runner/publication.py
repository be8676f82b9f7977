"""`workshop run --publish FOLDER`: a folder with all results, for a pipeline's artifact and its page."""

import base64
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from workshop.core.errors import UsageError, explain_os_error
from workshop.core.promotion.outcome import MARKS, result_of
from workshop.core.promotion.texts import percent
from workshop.runner.summary import Summary


def check_folder(folder: Path) -> None:
    """Check that a run can be published to the folder, before the run starts.

    Raises:
        UsageError: the folder is not empty.
        WorkshopError: the folder can't be read or created.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not empty: publish into a folder that is empty or does not exist yet.")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error


def publish(summary: Summary, folder: Path) -> None:
    """Copy the run's notebooks, report and `summary.json` into the folder, with the files for a pipeline's page.

    These are `decision.md` and `decision.png`, both of them in one `summary.md`, and the notebooks as test cases in
    `notebooks.xml`.

    Raises:
        WorkshopError: the folder can't be written.
    """
    try:
        shutil.copytree(Path(summary.report).parent, folder, dirs_exist_ok=True)
        text = as_markdown(summary)
        (folder / "decision.md").write_text(text, encoding="utf-8")
        if picture := _decision_picture(summary):
            (folder / "decision.png").write_bytes(base64.b64decode(picture))
            text += f"\n![The decision: both ROC curves, and the difference in AUC](data:image/png;base64,{picture})\n"
        (folder / "summary.md").write_text(text, encoding="utf-8")
        (folder / "notebooks.xml").write_bytes(as_junit(summary))
    except OSError as error:
        raise explain_os_error(error) from error


def as_markdown(summary: Summary) -> str:
    """Return the decision in Markdown: the sentence, the figures, the guards and each notebook's status."""
    lines = [f"## {_plain(summary.sentence)}", ""]
    decision: dict[str, Any] = summary.outcome.decision.as_dict() if summary.outcome else {}
    for sentence in (decision.get("reason"), *decision.get("notes", [])):
        lines += [_plain(sentence), ""] if sentence else []
    lines += _figures(decision)
    if guards := decision.get("guards"):
        lines += ["| guard | | finding |", "|---|---|---|"]
        lines += [_row(guard["name"], _mark(guard["passed"]), guard["finding"]) for guard in guards]
        lines.append("")
    lines += ["| notebook | ended | seconds |", "|---|---|---|"]
    lines += [_row(each.name, each.status, "" if each.seconds is None else each.seconds) for each in summary.notebooks]
    lines += ["", f"Run `{summary.run_id}` of {_plain(summary.model)}, commit `{summary.git_commit}`.", ""]
    return "\n".join(lines)


def as_junit(summary: Summary) -> bytes:
    """Return the notebooks as test cases in JUnit's XML."""
    suite = ElementTree.Element("testsuite", name=f"workshop run, {summary.action}", tests=str(len(summary.notebooks)))
    for each in summary.notebooks:
        case = ElementTree.SubElement(
            suite, "testcase", classname="notebooks", name=each.name, time=str(each.seconds or 0)
        )
        if each.status == "not run":
            ElementTree.SubElement(case, "skipped")
        elif each.status != "succeeded":
            message = each.error.message if each.error else summary.sentence
            ElementTree.SubElement(case, "failure", message=message).text = each.error.source if each.error else message
    suite.set("failures", str(len(suite.findall(".//failure"))))
    suite.set("skipped", str(len(suite.findall(".//skipped"))))
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _figures(decision: dict[str, Any]) -> list[str]:
    """Return the table of both AUCs and their difference, as far as they were computed."""
    rows = []
    if decision.get("auc_candidate") is not None:
        rows.append(_row("AUC, candidate", f"{decision['auc_candidate']:.4f}"))
    if decision.get("difference") is not None:
        rows += [
            _row("AUC, champion", f"{decision['auc_champion']:.4f}"),
            _row("difference", f"{decision['difference']:+.4f}"),
            _row(f"{percent(decision['confidence'])} lower bound", f"{decision['lower_bound']:+.4f}"),
        ]
    return ["| figure | value |", "|---|---|", *rows, ""] if rows else []


def _mark(passed: bool | None) -> str:
    """Return the mark of a guard; other than `passed` it is in words too."""
    result = result_of(passed)
    return MARKS[result] if result == "passed" else f"{MARKS[result]} {result}"


def _row(*cells: object) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: object) -> str:
    """Escape Markdown in a text, and join its lines, so that it fits into a table's cell."""
    escaped = "".join(f"\\{character}" if character in "\\`*_{}[]<>#|" else character for character in str(text))
    return escaped.replace("\n", " ")


def _decision_picture(summary: Summary) -> str:
    """Return the first picture of 1_3, in base64; empty without a picture."""
    from workshop.runner import report  # noqa: PLC0415  # imports nbconvert, and the folder is checked before

    pictures = report.decision_pictures(summary)
    return pictures[0].png if pictures else ""
