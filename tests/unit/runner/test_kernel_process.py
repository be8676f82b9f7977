"""The same small notebook in a warm kernel, in a fresh one, and with papermill alone."""

import os
import subprocess
import sys
from pathlib import Path

import papermill
import pytest

from tests.support.notebook_files import pictures, printed, write_notebook
from workshop.runner.notebooks import Notebook
from workshop.runner.papermill_run import Job, execute

pytestmark = pytest.mark.integration

RUNNER = """
import os
from pathlib import Path
from workshop.runner import kernels
from workshop.runner.papermill_run import Job, execute
from workshop.runner.notebooks import Notebook
kernels.begin_warming()
job = Job(Notebook(Path("../n.ipynb").absolute()), Path("../executed.ipynb"), {}, dict(os.environ))
result = execute(job, lambda _: None)
print(result.status, result.error and result.error.message)
"""
CELLS = (
    """import atexit, gzip, multiprocessing, os
log = open("scores.csv", "w")
packed = gzip.open("scores.gz", "wt")
_ = log.write("wine,score"), packed.write("wine,score")
_ = atexit.register(lambda: open("goodbye.txt", "w").write("done"))""",
    """def double(x): return 2 * x
with multiprocessing.Pool(2) as pool: print(pool.map(double, [1, 2]))
print(multiprocessing.current_process().name, multiprocessing.get_start_method())""",
    """for i in range(5000): print("step", i, flush=True)""",
)


def side_effects(notebook: Notebook, output: Path, how: str) -> tuple[str, dict[str, bytes]]:
    if how == "papermill":
        papermill.execute_notebook(
            str(notebook.path), str(output), cwd=str(notebook.path.parent), kernel_name="python3", progress_bar=False,
            iopub_timeout=60,  # of a busy machine
        )  # fmt: skip
    else:
        assert execute(Job(notebook, output, {}, dict(os.environ)), lambda _: None).error is None
    files = {name: notebook.path.with_name(name).read_bytes() for name in ("scores.csv", "goodbye.txt")}
    return printed(output), files | {"ends": notebook.path.with_name("scores.gz").read_bytes()[-4:]}


@pytest.mark.parametrize("warm", ["1", "0"])
def test_a_notebook_does_the_same_headlessly_as_with_papermill(
    warm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    results = []
    for how in ("papermill", "kit"):
        folder = tmp_path / how
        folder.mkdir()
        results.append(side_effects(write_notebook(folder / "n.ipynb", *CELLS), folder / "executed.ipynb", how))
    assert results[0] == results[1]
    assert results[1][0].count("step ") == 5000


@pytest.mark.parametrize("warm", ["1", "0"])
def test_settings_for_interactive_work_have_no_effect(
    warm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("import sys; sys.exit(1)")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    notebook = write_notebook(tmp_path / "n.ipynb", "import matplotlib; print(matplotlib.get_backend())")
    result = execute(Job(notebook, tmp_path / "executed.ipynb", {}, dict(os.environ)), lambda _: None)
    assert result.error is None
    assert "inline" in printed(tmp_path / "executed.ipynb")


@pytest.mark.parametrize("warm", ["1", pytest.param("0", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("backend", ["nonsense", "module://backend_interagg"])
def test_a_notebook_shows_its_plot_whatever_backend_an_editor_has_set(
    warm: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_WARM_KERNELS", warm)
    monkeypatch.setenv("MPLBACKEND", backend)
    notebook = write_notebook(
        tmp_path / "n.ipynb",
        "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])",
    )
    result = execute(Job(notebook, tmp_path / "executed.ipynb", {}, dict(os.environ)), lambda _: None)
    assert result.error is None
    assert pictures(tmp_path / "executed.ipynb") == 1


@pytest.mark.parametrize("warm", ["1", pytest.param("0", marks=pytest.mark.thorough)])
def test_a_notebook_imports_what_is_beside_it_and_nothing_from_the_folder_of_the_command(
    warm: str, tmp_path: Path
) -> None:
    (tmp_path / "command").mkdir()
    (tmp_path / "command" / "optuna.py").write_text("raise SystemExit('imported from the folder of the command')")
    (tmp_path / "command" / "there.py").write_text("")
    (tmp_path / "command" / "command.py").write_text(RUNNER)
    (tmp_path / "beside.py").write_text("")
    search = "import importlib.util, beside, optuna\nprint(importlib.util.find_spec('there'))"
    write_notebook(tmp_path / "n.ipynb", search)
    done = subprocess.run(
        [sys.executable, "-m", "command"],
        cwd=tmp_path / "command",
        env=os.environ | {"WORKSHOP_WARM_KERNELS": warm},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("succeeded None\n", "")
    assert printed(tmp_path / "executed.ipynb") == "None\n"


def test_each_kernel_has_random_numbers_of_its_own(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "import random, numpy\nprint(random.random(), numpy.random.rand())")
    seen = []
    for name in ("first", "second"):
        execute(Job(notebook, tmp_path / f"{name}.ipynb", {}, dict(os.environ)), lambda _: None)
        seen.append(printed(tmp_path / f"{name}.ipynb").split())
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%no_such_magic", "UsageError: Line magic function `%no_such_magic` not found."),
        ("assert 1 > 2", "AssertionError, without a message"),
    ],
)
def test_an_error_has_words(cell: str, message: str, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", cell)
    failure = execute(Job(notebook, tmp_path / "executed.ipynb", {}, dict(os.environ)), lambda _: None).error
    assert failure is not None
    assert failure.message == message
