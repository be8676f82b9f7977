import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.notebook_files import pictures, printed, write_notebook
from workshop.core.errors import WorkshopError
from workshop.runner.notebooks import Notebook, select
from workshop.runner.papermill_run import Job, _cause_of_death, execute
from workshop.runner.summary import NotebookResult

pytestmark = pytest.mark.integration


def run(notebook: Notebook, output: Path, timeout: int | None = None, **parameters: Any) -> NotebookResult:
    return execute(Job(notebook, output, parameters, dict(os.environ), timeout), lambda _: None)


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    return tmp_path / "executed.ipynb"


def test_a_notebook_runs_with_the_parameters_it_was_given(tmp_path: Path, executed: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(f'{a} {b}')", parameters="a: int = 1\nb: str = ''")
    result = run(notebook, executed, a=5, b="$(date); 'quoted' \"twice\" \\n")
    assert (result.status, result.error) == ("succeeded", None)
    assert printed(executed) == "5 $(date); 'quoted' \"twice\" \\n\n"


def test_a_parameter_that_papermill_cannot_parse_is_given_without_a_warning(
    tmp_path: Path, executed: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(where)", parameters='where = "alcohol==12"')
    assert run(notebook, executed, where="ph==3").status == "succeeded"
    assert printed(executed) == "ph==3\n"
    assert "where" not in capfd.readouterr().err + caplog.text


def test_progress_gets_each_cell_of_code(tmp_path: Path, executed: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1", "2", "3")
    told: list[int] = []
    execute(Job(notebook, executed, {}, dict(os.environ)), told.append)
    assert told == [1, 2, 3]


def test_an_exception_names_the_notebook_the_cell_and_the_error(tmp_path: Path, executed: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('before')", "rows = 1\nrows / 0", "print('after')")
    failure = run(notebook, executed).error
    assert failure is not None
    assert (failure.notebook, failure.cell) == ("n", 2)
    assert failure.source == "rows = 1\nrows / 0"
    assert failure.message == "ZeroDivisionError: division by zero"
    assert printed(executed) == "before\n"


def test_a_workshop_error_is_its_sentence_alone_in_the_message_and_in_the_notebook(
    tmp_path: Path, executed: Path
) -> None:
    raising = "from workshop.core.errors import WorkshopError\nraise WorkshopError('Do this first.')"
    failure = run(write_notebook(tmp_path / "n.ipynb", raising), executed).error
    assert failure is not None
    assert failure.message == "Do this first."
    assert "Traceback" not in executed.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("signum", "words"),
    [
        ("SIGKILL", ["killed (SIGKILL)", "ran out of memory", "another process"]),
        ("SIGTERM", ["ended by the signal SIGTERM", "another process"]),
    ],
)
def test_a_kernel_that_a_signal_ends_is_reported_with_it_and_what_had_run_is_kept(
    signum: str, words: list[str], tmp_path: Path, executed: Path
) -> None:
    kill = f"import os, signal\nos.kill(os.getpid(), signal.{signum})\nimport time\ntime.sleep(60)"
    failure = run(write_notebook(tmp_path / "n.ipynb", "print('before')", kill), executed).error
    assert failure is not None
    assert failure.cell == 2
    assert all(each in failure.message for each in words)
    assert "compiled code" not in failure.message
    assert printed(executed) == "before\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-1, "ended by the signal SIGHUP"),
        (-24, "limit of CPU time (SIGXCPU)"),
        (-37, "ended by the signal 37"),
        (-6, "crashed with SIGABRT"),
    ],
)
def test_each_signal_is_named(code: int, words: str) -> None:
    assert words in _cause_of_death(code)


def test_a_crash_in_compiled_code_is_named_by_its_signal_and_its_log_is_kept(tmp_path: Path, executed: Path) -> None:
    crash = "import faulthandler, ctypes\nfaulthandler.enable()\nctypes.string_at(0)"
    failure = run(write_notebook(tmp_path / "n.ipynb", crash), executed).error
    assert failure is not None
    assert "SIGSEGV" in failure.message
    assert "Segmentation fault" in executed.with_suffix(".kernel.log").read_text(encoding="utf-8")


def test_a_cell_that_exits_the_process_is_reported_with_the_exit_code(tmp_path: Path, executed: Path) -> None:
    failure = run(write_notebook(tmp_path / "n.ipynb", "import os\nos._exit(7)"), executed).error
    assert failure is not None
    assert "exit code 7" in failure.message


def test_a_cell_that_takes_too_long_is_stopped_and_named(tmp_path: Path, executed: Path) -> None:
    forever = write_notebook(tmp_path / "n.ipynb", "print('before')", "import threading\nthreading.Event().wait()")
    failure = run(forever, executed, timeout=2).error
    assert failure is not None
    assert failure.cell == 2
    assert "longer than the 2 seconds" in failure.message
    assert printed(executed) == "before\n"


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    with pytest.raises(WorkshopError, match="Cannot write or read"):
        run(notebook, tmp_path / "no-such-folder" / "executed.ipynb")


def test_a_home_with_braces_in_its_name_is_no_template(tmp_path: Path) -> None:
    folder = tmp_path / "a {b} c"
    folder.mkdir()
    assert run(write_notebook(folder / "n.ipynb", "1"), folder / "executed.ipynb").status == "succeeded"


@pytest.mark.parametrize("warm", ["1", "0"])
def test_a_warm_kernel_and_a_fresh_one_give_the_same_notebook(
    warm: str, tmp_path: Path, executed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    (training,) = select(["0"])
    assert run(training, executed).status == "succeeded"
    assert pictures(executed) == 1
    assert "6,497 rows, of which 1,177 repeat an earlier one" in printed(executed)
