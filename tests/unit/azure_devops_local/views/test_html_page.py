"""The page of a run: its content, and that foreign text can't run code."""

import base64
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from azure_devops_local.run_store import Job, Run, Runs, Stage, Step
from azure_devops_local.views import html_page, page_content
from tests.support import chromium, sample_runs

INLINE = f"data:image/png;base64,{base64.b64encode(sample_runs.PIXEL).decode()}"


def parsed(run: Run, path: Path | None = None) -> BeautifulSoup:
    path = path or Runs().folder_of(run.number) / "run.html"
    html_page.write(run, path)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def text_of(tree: BeautifulSoup) -> str:
    return " ".join(tree.get_text(" ").split())


def test_the_page_of_a_run_has_its_summary_steps_and_logs() -> None:
    tree = parsed(sample_runs.succeeded())
    text = text_of(tree)
    assert tree.title is not None
    assert tree.title.text == "cd.yml #1: succeeded"
    for fact in (
        "Merged PR 2: integration into main",
        "branch main",
        "2f6c1d8b",
        "a push, Ana",
        "2026-03-02 09:30:00 UTC",
        "took 1 min 18 s",
        "passed 41",
        "Version 4 holds Production",
        "AUC 0.9012",
        "The cache was not found",
        "without signing in to Azure",
        "environment production",
        "approved by Bo",
        "HEAD is now at 2f6c1d8",
    ):
        assert fact in text
    steps = [row.get_text(" ", strip=True) for row in tree.select("summary, .step")]
    assert steps == [
        "Checkout workshop@main succeeded 1.4 s",
        "Install the environment succeeded 3.6 s",
        "Run the notebooks succeeded 1 min 11 s",
        "Only on failure skipped",
    ]
    assert [heading.name for heading in tree.select("h1, h2, h3")][:3] == ["h1", "h2", "h3"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    tree = parsed(sample_runs.succeeded())
    assert [tag for tag in tree.select("[src]") if not str(tag["src"]).startswith("data:")] == []
    assert [str(link["href"]) for link in tree.select("link, a")] == [
        "data:,",
        "artifacts/report/report.html",
        "artifacts/report/summary.json",
    ]
    assert "default-src 'none'" in str(tree.select_one("meta[http-equiv]"))


def test_pictures_of_the_summary_come_from_the_runs_own_folder_only() -> None:
    run = sample_runs.succeeded()
    secret = Runs().folder_of(run.number).parents[1] / "secret.png"
    secret.write_bytes(sample_runs.PIXEL)
    sample_runs.put(run, "summaries/pictures/not-a-picture.html", "<p>no</p>")
    folder = Runs().folder_of(run.number) / "summaries"
    (folder / "linked.png").symlink_to(secret)
    with (folder / "decision.md").open("a", encoding="utf-8") as file:
        file.write("\n![linked](linked.png)\n\n![page](pictures/not-a-picture.html)\n\n![root](/etc/passwd)\n")
        file.write(f"\n![inline]({INLINE})\n\n![drawn](data:image/svg+xml;base64,PHN2Zz4=)\n")
    tree = parsed(run)
    pictures = tree.select(".prose img")
    assert [picture["alt"] for picture in pictures] == ["AUC of both", "inline"]
    assert pictures[1]["src"] == INLINE
    assert base64.b64decode(str(pictures[0]["src"]).partition(",")[2]) == sample_runs.PIXEL
    for name in ("elsewhere", "secret", "linked", "page", "root"):
        assert f"[picture: {name}]" in text_of(tree)


def test_foreign_text_is_never_markup() -> None:
    run = sample_runs.failed()
    tree = parsed(run)
    assert tree.select("script, b:not(.said b), .prose a, [onerror]") == []
    assert tree.select("img") == []
    text = tree.get_text()
    assert "\x1b" not in text
    # title, branch, name, parameter, tag, issue, step, job, stage, notice, summary, log
    assert text.count(sample_runs.NASTY) >= 12
    assert "not-there" not in text


def test_invisible_characters_are_not_on_the_page() -> None:
    run = sample_runs.failed()
    unseen = "gnp\u202e.exe\u200b"
    run.message = run.branch = run.problem = run.pipeline = run.requested_for = unseen
    run.parameters, run.tags, run.stages[0].name = {unseen: unseen}, [unseen], unseen
    run.notices.append(unseen)
    text = str(parsed(run))
    assert text.count("gnp.exe") >= 9
    assert "\u202e" not in text and "\u200b" not in text


def test_a_failed_step_is_open_and_shows_the_end_of_its_log() -> None:
    tree = parsed(sample_runs.failed())
    opened = tree.select("details[open]")
    assert len(opened) == 1
    log = opened[0].select_one(".log")
    assert log is not None
    lines = [item.get_text() for item in log.select("li")]
    assert log["start"] == "506"
    assert lines[0] == "line 505"
    assert lines[-1] == "##[error]Bash exited with code '1'."
    assert log.select("li")[-1]["class"] == ["error"]
    assert lines[-2] == "Details"
    assert lines[-3].endswith("(96,000 more characters)")
    assert [link["href"] for link in opened[0].select("a")] == ["logs/tests.log"]
    assert "Its log was removed (its log is no longer there)" in text_of(tree)


def test_progress_bars_and_colours_show_as_they_end_on_a_terminal() -> None:
    tree = parsed(sample_runs.succeeded())
    assert [(item.get_text(), item.get("class")) for item in tree.select("#log-step-1-1-2 li")] == [
        ("100%", None),
        ("##[warning]The cache was not found", ["warning"]),
    ]


def test_links_lead_from_wherever_the_page_is_written_to(tmp_path: Path) -> None:
    run = sample_runs.succeeded()
    sample_runs.put(run, "artifacts/report/50 % & more.txt", "x")
    path = tmp_path / "pages" / "run.html"
    path.parent.mkdir()
    links = [str(link["href"]) for link in parsed(run, path).select(".files a")]
    assert len(links) == 3
    assert all((path.parent / unquote(link)).is_file() for link in links)


def test_of_an_artifact_with_many_files_the_first_are_listed() -> None:
    run = sample_runs.succeeded()
    for number in range(60):
        sample_runs.put(run, f"artifacts/report/many/{number:02}.txt", "")
    run.artifacts.append("gone")
    text = text_of(parsed(run))
    assert "and 12 more" in text
    assert "gone Its files are no longer there." in text


def test_a_run_that_waits_names_the_command() -> None:
    tree = parsed(sample_runs.waiting())
    assert "workshop devops approve 1" in text_of(tree)
    assert [row.get_text(" ", strip=True) for row in tree.select("h4")] == [
        "Deploy environment production waiting for approval"
    ]


def test_a_run_that_did_not_start_has_its_problem() -> None:
    run = sample_runs.waiting().model_copy(
        update={"state": "completed", "result": "failed", "stages": [], "problem": "ci.yml, line 3: <no> such key."}
    )
    text = text_of(parsed(run))
    assert "ci.yml, line 3: <no> such key." in text
    assert "Nothing was run." in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.9, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    done = Step(name="x", result="succeeded", started=sample_runs.at(0), finished=sample_runs.at(seconds))
    assert html_page.duration(done) == words


def test_a_stage_lasts_from_its_first_job_to_its_last() -> None:
    jobs = [
        Job(name="a", result="succeeded", started=sample_runs.at(1), finished=sample_runs.at(4)),
        Job(name="b", result="failed", started=sample_runs.at(2), finished=sample_runs.at(9)),
    ]
    assert html_page.duration(Stage(name="s", result="failed", jobs=jobs)) == "8.0 s"
    assert html_page.duration(Stage(name="s")) == ""


@given(
    st.text()
    | st.lists(st.sampled_from(["<b>", "![x](y)", "[z](javascript:a)", "|", "\n", "`", "<!--", "&", "- ", "# "])).map(
        "".join
    )
)
def test_markdown_becomes_only_prose(text: str) -> None:
    tree = BeautifulSoup(page_content.markdown(text), "html.parser")
    assert tree.select("script, iframe, img, b, [style], [onerror]") == []
    assert not any(str(link.get("href", "")).lower().startswith("javascript:") for link in tree.find_all("a"))


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", "/", "x", ".", "~", "\0", "a.txt"])).map("/".join))
def test_no_name_leads_out_of_a_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "inside"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").touch()
    found = page_content.inside(folder, name)
    assert found is None or found == (folder / "a.txt").resolve()


def test_on_a_terminal_the_description_of_a_picture_stands_in_its_place() -> None:
    assert page_content.for_terminal("a ![both\u202e AUCs](a/b.png) [c](d)") == "a (picture: both AUCs) [c](d)"


@chromium.needed
@pytest.mark.integration
def test_a_browser_runs_nothing_from_a_page() -> None:
    run = sample_runs.failed()
    path = Runs().folder_of(run.number) / "run.html"
    html_page.write(run, path)
    seen = chromium.look(path.as_uri())
    assert seen.console == []
    assert "<title>ci.yml #1: failed</title>" in seen.dom
