import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_common.sanitize import first_sentence, printable, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ünïcode – 3 < 4, # one, ## two, [x], 🍷", "Ünïcode – 3 < 4, # one, ## two, [x], 🍷"),
        ("two\r\nlines\rand\u2028more\ttab", "two\nlines\nand\nmore tab"),
        ("\x1b[1;31mred\x1b[0m \x9b2Jclear", "red clear"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x9dtitle\x9cc\x1bPq\x1b\\d", "abcd"),
        ("\x1b\x1b[0m[31m \x1bc", "[31m "),
        ("bell\x07 back\x08 nul\x00 del\x7f", "bell back nul del"),
        ("user\u202egnp.exe \ufeff\u200b\ufffe\uffff", "usergnp.exe "),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("and ##vso[task.complete result=Succeeded]", "and # #vso[task.complete result=Succeeded]"),
        ("###[error]x ##VSO[a] ####vso[b]", "## #[error]x # #VSO[a] ### #vso[b]"),
        ("##\x1b[0mv\u00adso\x00[task.setvariable variable=PATH]/evil", "# #vso[task.setvariable variable=PATH]/evil"),
        (
            "zero\u200bwidth\u2060, override\u202e, \u180eold, tag\U000e0041, note\ufff9",
            "zerowidth, override, old, tag, note",
        ),
        ("", ""),
    ],
)
def test_printable_removes_everything_that_acts(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from("#[vso]\x1b\x9b\x9d\x07\\;m\ud800\xad")), max_size=60)
)
def test_no_printable_text_has_control_characters_or_commands(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(each) for each in shown.replace("\n", "")} & {"Cc", "Cs"} == set()
    assert "##[" not in shown and "##vso[" not in shown.lower()
    assert printable(shown) == shown.removesuffix("\n")


def test_a_quoted_message_is_one_short_line() -> None:
    assert first_sentence(ValueError("no\x1b[0m\n##vso[task.complete]  more.")) == "no # #vso[task.complete] more"
    assert first_sentence(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert first_sentence(ValueError("x" * 1000)) == "x" * 300 + " …"
    assert shortened("x" * 300) == "x" * 300


@pytest.mark.parametrize(
    "message", ["tok dapi0123456789abcdef0123", "Bearer abc.def", "the token eyJhbGciOi.eyJzdWIi.c2ln is foreign"]
)
def test_no_token_is_quoted(message: str) -> None:
    quoted = first_sentence(RuntimeError(message))
    assert "***" in quoted
    assert not re.search(r"dapi0|abc|eyJ", quoted)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("##[section]a\tb\nc\n", "##[section]a\tb\nc\n"),
        ("a\rb\r\n\x1b]0;title\nnext", "ab\n\nnext"),
        ("to\u202em\u200b \u2028\x85\ud83d", "tom \ufffd"),
    ],
)
def test_visible_keeps_lines_tabs_and_log_markers(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_no_visible_text_has_control_characters(text: str) -> None:
    shown = visible(text)
    assert {unicodedata.category(each) for each in shown if each not in "\t\n"} & {"Cc", "Cs"} == set()
    assert visible(shown) == shown
