"""Printed output: what differs between two runs is masked, and what must not differ is seen."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop.course.printed import ANY, first_difference, is_in, masked, matches, rewritten

TIME = st.datetimes(datetime(2026, 1, 1)).map(lambda moment: moment.strftime("%Y%m%dT%H%M%SZ"))
DAY = st.dates(date(2026, 1, 1))
SECONDS = st.decimals(0, 999, places=1)
DIGEST = st.text("0123456789abcdef", min_size=8, max_size=8)
PORT = st.integers(1024, 65535)
FOLDER = st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=12)
VERSION = st.tuples(*[st.integers(0, 99)] * 3).map(lambda numbers: ".".join(map(str, numbers)))
WORD = st.text("abc 0.1…", max_size=6).map(str.strip)
LINES = st.lists(WORD.filter(lambda word: ANY not in word), max_size=6)
PAGE = st.lists(st.one_of(WORD, st.just(ANY)), max_size=6)
AUC = st.integers(0, 999).map(lambda thousandths: f"0.{thousandths:03}")


@st.composite
def outputs(draw: st.DrawFn) -> list[str]:
    """Return the output of a run whose AUC is 0.844, at any time, in any folder and at any speed."""
    folder, stamp = draw(FOLDER), draw(TIME)
    return [
        f"part_1_1_data_prep: succeeded at cell 8 of 8, {draw(SECONDS)} s",
        f"run 4 of ci.yml (integration, {draw(DIGEST)}): succeeded, {draw(st.integers(1, 99))} min {draw(SECONDS)} s",
        "AUC 0.844 vs 0.810: +0.034 (97.5 % lower bound +0.013; needs > 0).",
        f"Report: .workshop/runs/{stamp}-dev-ana/report.html",
        f"The team's repository is /tmp/{folder}/workshop/.workshop/devops/repository.git",
        f"Runs and pull requests on http://127.0.0.1:{draw(PORT)} (Ctrl-C ends it)",
        f"mlflow {draw(VERSION)}, Python 3.{draw(st.integers(11, 14))}, {draw(SECONDS)} GB free",
        f"│ {draw(DAY)} 12:{draw(st.integers(10, 59))} │{' ' * draw(st.integers(1, 5))}version 3 │",
    ]


@given(outputs(), outputs())
def test_two_runs_of_the_same_are_equal(first: list[str], second: list[str]) -> None:
    assert [masked(line) for line in first] == [masked(line) for line in second]
    assert matches(first, second)


@given(outputs(), outputs(), AUC, st.integers(1, 9))
def test_another_auc_or_another_version_of_the_model_is_seen(
    first: list[str], second: list[str], auc: str, version: int
) -> None:
    second[2] = second[2].replace("0.844", auc)
    assert matches(first, second) == (auc == "0.844")
    second[2] = first[2]
    second[-1] = second[-1].replace("version 3", f"version {version}")
    assert (first_difference(first, second) is None) == (version == 3)


@pytest.mark.parametrize(
    ("expected", "printed", "difference"),
    [
        ([], [], None),
        (["a", "b"], ["a", "b"], None),
        (["a", "b"], ["a", "c"], (1, "c")),
        (["a", "b"], ["a"], (1, "")),
        (["a"], ["a", "b"], (1, "b")),
        ([ANY], [], None),
        ([ANY, "b"], ["a", "b", "c", "b"], None),
        ([ANY, "b"], ["a", "b", "c"], (2, "c")),
        (["a", ANY], ["a"], None),
        (["a", ANY, "c"], ["a", "b", "b", "c"], None),
        ([ANY, "a", ANY, "d"], ["b", "a", "c"], (3, "c")),
        ([f"Version {ANY} is promoted"], ["Version 12 is promoted"], None),
        ([f"Version {ANY} is promoted"], ["Version 12 is better"], (0, "Version 12 is better")),
        (
            [f"Report: .workshop/runs/{ANY}/report.html"],
            ["Report: .workshop/runs/20261124T142449Z-a/report.html"],
            None,
        ),
        ([f"{ANY} x-model-version: 1"], ["     12 x-model-version: 1"], None),
        ([f"in /home/ana/{ANY}/report.html"], ["in /home/ana/workshop/report.html"], None),
    ],
)
def test_the_first_difference_is_found(
    expected: list[str], printed: list[str], difference: tuple[int, str] | None
) -> None:
    assert first_difference(expected, printed) == difference


def test_of_a_command_that_runs_on_the_first_lines_are_compared() -> None:
    assert matches(["ready"], ["ready", "a request"], only_begun=True)
    assert not matches(["ready"], ["starting"], only_begun=True)
    assert not matches(["ready"], [], only_begun=True)


@given(PAGE, LINES)
def test_rewritten_output_matches_and_is_not_rewritten_again(expected: list[str], printed: list[str]) -> None:
    shown = rewritten(expected, printed)
    assert matches(shown, printed)
    assert rewritten(shown, printed) == shown
    assert not matches(expected, printed) or shown == expected


def test_rewriting_keeps_what_still_matches() -> None:
    expected = [ANY, "AUC 0.810", f"Report: {ANY}", "took 3.0 s", ANY, "end"]
    printed = ["a", "b", "AUC 0.844", "Report: x", "took 2.0 s", "c", "d", "end"]
    assert rewritten(expected, printed) == ["a", "b", "AUC 0.844", f"Report: {ANY}", "took 3.0 s", ANY, "end"]


@pytest.mark.parametrize(
    ("figure", "outputs", "found"),
    [
        ("0.844", "AUC 0.844 vs", True),
        ("0.844", "AUC 0.8441", False),
        ("0.844", "AUC 10.844", False),
        ("+0.034", "0.810: +0.034.", True),
        ("6,497", "6497 wines", True),
        ("6,497", "6,497 wines", True),
        ("6,497", "16497 wines", False),
        ("97.5 %", "(97.5 % lower", True),
        ("97.5 %", "97.5% lower", True),
        ("97.5 %", "97.5 lower", False),
        ("5 %", "12.5 %", False),
    ],
)
def test_a_figure_is_searched_as_a_whole(figure: str, outputs: str, found: bool) -> None:
    assert is_in(figure, outputs) == found
