import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from kit_common.terminal import print_text

SENTENCE = "The chance that a candidate that is no better is promoted grows with each look."
PATH = "/home/ana/workshop/.workshop/runs/20261124T142449Z-no_name/report.html"


def printed(text: str, *, terminal: bool, width: int = 30, markup: bool = False) -> str:
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=terminal, color_system=None)
    print_text(console, text, markup=markup)
    return written.getvalue()


def test_a_terminal_wraps_between_words() -> None:
    lines = printed(SENTENCE, terminal=True).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 30 for line in lines)
    assert " ".join(line.strip() for line in lines) == SENTENCE


def test_a_log_keeps_the_line() -> None:
    assert printed(SENTENCE, terminal=False) == f"{SENTENCE}\n"


def test_a_path_is_not_broken() -> None:
    assert printed(f"The report is in {PATH} now.", terminal=True).splitlines() == ["The report is in", PATH, "now."]


@pytest.mark.parametrize("terminal", [True, False])
def test_brackets_and_colons_are_text(terminal: bool) -> None:
    assert printed("[bold] :smile: 12", terminal=terminal) == "[bold] :smile: 12\n"
    assert printed("[bold]12[/] :smile:", terminal=terminal, markup=True) == "12 :smile:\n"


@given(st.text("ab 酒\n", max_size=60), st.integers(1, 12))
def test_only_blanks_become_line_ends_and_no_line_of_two_words_is_too_wide(text: str, width: int) -> None:
    wrapped = printed(text, terminal=True, width=width).removesuffix("\n")
    assert len(wrapped) == len(text)
    assert all(now == before or (now, before) == ("\n", " ") for now, before in zip(wrapped, text, strict=True))
    for line in wrapped.split("\n"):
        assert cell_len(line.rstrip(" ")) <= width or " " not in line.strip(" ")
