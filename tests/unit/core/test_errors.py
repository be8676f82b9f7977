import os
import tempfile
from errno import EACCES, EDQUOT, EEXIST, EMFILE, ENOSPC, ENOTDIR, EPERM, EROFS
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
    ("error", "words"),
    [
        *[(OSError(number, "", "some/place"), ["some/place", "free some space"]) for number in (ENOSPC, EDQUOT)],
        *[
            (OSError(number, "", "some/place"), ["some/place", "WORKSHOP_HOME="])
            for number in (EACCES, EPERM, EROFS, ENOTDIR, EEXIST)
        ],
        (OSError(EMFILE, os.strerror(EMFILE)), [os.strerror(EMFILE)]),
        (OSError("the drawer is stuck"), ["the drawer is stuck"]),
    ],
)
def test_a_refusal_of_the_system_is_explained_with_its_place_and_a_remedy(error: OSError, words: list[str]) -> None:
    sentence = str(explain_os_error(error))
    for word in words:
        assert word in sentence
    assert (" at " in sentence) == (error.filename is not None)
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_missing_temporary_folder_leads_to_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere/at/all"])
    with pytest.raises(FileNotFoundError) as caught:
        tempfile.gettempdir()
    assert "set TMPDIR to one that you may write to" in str(explain_os_error(caught.value))
