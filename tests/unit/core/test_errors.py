import errno
import os
import re
import tempfile
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from kit_common.sanitize import first_sentence, printable, shortened
from workshop.core.errors import WorkshopError, explain_os_error


def test_ipython_shows_the_sentence_instead_of_a_traceback() -> None:
    shell: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.push({"WorkshopError": WorkshopError})
    with capture_output() as shown:
        shell.run_cell("raise WorkshopError('The wine is corked: open another bottle.')")
    assert shown.stdout.strip() == "WorkshopError: The wine is corked: open another bottle."
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "WORKSHOP_HOME="),
        (errno.EPERM, "WORKSHOP_HOME="),
        (errno.EROFS, "WORKSHOP_HOME="),
        (errno.ENOTDIR, "WORKSHOP_HOME="),
        (errno.EEXIST, "WORKSHOP_HOME="),
    ],
)
def test_what_the_system_refuses_is_explained_with_the_place_and_a_remedy(number: int, advice: str) -> None:
    sentence = str(explain_os_error(OSError(number, os.strerror(number), "some/place")))
    assert "some/place" in sentence
    assert advice in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_refusal_without_advice_keeps_the_systems_own_words() -> None:
    assert os.strerror(errno.EMFILE) in str(explain_os_error(OSError(errno.EMFILE, os.strerror(errno.EMFILE))))


def test_a_refusal_without_a_place_names_none() -> None:
    assert " at " not in str(explain_os_error(OSError("the drawer is stuck")))
    assert "the drawer is stuck" in str(explain_os_error(OSError("the drawer is stuck")))


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
        ("", ""),
    ],
)
def test_a_text_of_others_does_nothing_where_it_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from("#[vso]\x1b\x9b\x9d\x07\\;m\ud800\xad")), max_size=60)
)
def test_no_text_gets_through_that_does_something(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(each) for each in shown.replace("\n", "")} & {"Cc", "Cs"} == set()
    assert "##[" not in shown and "##vso[" not in shown.lower()
    assert printable(shown) == shown.removesuffix("\n")


def test_what_is_quoted_of_others_is_one_short_line() -> None:
    assert first_sentence(ValueError("no\x1b[0m\n##vso[task.complete]  more.")) == "no # #vso[task.complete] more"
    assert first_sentence(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert first_sentence(ValueError("x" * 1000)) == "x" * 300 + " …"
    assert shortened("x" * 300) == "x" * 300


@pytest.mark.parametrize(
    "said", ["tok dapi0123456789abcdef0123", "Bearer abc.def", "the token eyJhbGciOi.eyJzdWIi.c2ln is foreign"]
)
def test_no_token_is_quoted(said: str) -> None:
    quoted = first_sentence(RuntimeError(said))
    assert "***" in quoted
    assert not re.search(r"dapi0|abc|eyJ", quoted)


def test_a_machine_without_a_temporary_folder_is_told_of_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere/at/all"])
    with pytest.raises(FileNotFoundError) as caught:
        tempfile.gettempdir()
    assert "set TMPDIR to one that you may write to" in str(explain_os_error(caught.value))
