import errno
import os
import tempfile
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

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


def test_a_machine_without_a_temporary_folder_is_told_of_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere/at/all"])
    with pytest.raises(FileNotFoundError) as caught:
        tempfile.gettempdir()
    assert "set TMPDIR to one that you may write to" in str(explain_os_error(caught.value))
