"""The command line: refusals, `reset`, `ui`, and errors."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from databricks_local.mlflow_server import free_port
from tests.support.commands import Finished, workshop, workshop_here
from workshop.cli.app import app
from workshop.core.registry import mlflow_store
from workshop.runner import kernels

WORKSHOP = [sys.executable, "-m", "workshop"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["status"], ["history"], ["rollback"], ["promote"], ["serve"], ["reset"], ["lab"], ["ui"]],
)
def test_every_command_has_help(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, [*arguments, "--help"])
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


WRONG = [
    (["run", "-p", "bogus=1"], "No notebook of this run has a parameter 'bogus'"),
    (["run", "-p", "confidence=abc"], "confidence cannot be 'abc'"),
    (["run", "-p", "api_token=x"], "looks like a secret"),
    (["run", "-p", "confidence"], "not of the form NAME=VALUE"),
    (["run", "-p", "devops_action=Deployment"], "use --action instead of -p"),
    (["run", "--notebooks", "9_9"], "There is no notebook '9_9'"),
    (["run", "--notebooks", "1_1,1_1"], "is named twice"),
    (["run", "--action", "launch"], "'integration', 'deployment'"),
    (["run", "--cell-timeout", "0"], "--cell-timeout"),
    (["promote", "3"], "--reason"),
    (["promote", "--reason", "x"], "VERSION"),
    (["history", "--replay", "first"], "Invalid value for '--replay'"),
    (["serve", "--port", "70000"], "65535"),
    (["frobnicate"], "No such command 'frobnicate'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_a_wrong_command_line_ends_with_2_and_writes_nothing(
    arguments: list[str], sentence: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "begin_warming", lambda: None)
    refused = workshop_here(*arguments)
    assert refused.code == 2
    assert sentence in refused.err
    assert not home.exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("how", "variable", "value", "sentence"),
    [
        # Libraries would print their own messages about a missing server in a process of its own only.
        (workshop, "MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "No MLflow server found at http://127.0.0.1:9: start"),
        (workshop_here, "WORKSHOP_SLOTS", "drawer", "The environment variable WORKSHOP_SLOTS is 'drawer'"),
        (workshop_here, "WORKSHOP_HOME", os.devnull, "a file is where a folder is needed"),
    ],
)
def test_a_wrong_environment_ends_with_1_and_one_sentence(
    how: Callable[..., Finished], variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    refused = how("status")
    assert refused.code == 1
    assert sentence in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_reset_asks_before_it_removes_anything(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    assert CliRunner().invoke(app, ["reset"], input="n\n").exit_code == 1
    assert home.exists()
    assert CliRunner().invoke(app, ["reset"], input="y\n").exit_code == 0
    assert not home.exists()


def test_reset_of_a_linked_home_removes_its_content(home: Path) -> None:
    disk = home.with_name("disk")
    (disk / "data" / "prepared").mkdir(parents=True)
    home.symlink_to(disk)
    answer = CliRunner().invoke(app, ["reset", "--yes"])
    assert f"Removed the content of {home}, which is a link to {disk}." in answer.output
    assert list(disk.iterdir()) == []


def test_reset_of_a_mounted_home_removes_its_content(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "data").mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == home)
    answer = CliRunner().invoke(app, ["reset", "--yes"])
    assert f"Removed the content of {home}, which is a mounted volume." in answer.output
    assert list(home.iterdir()) == []


def test_reset_does_not_follow_a_link_in_the_home(home: Path) -> None:
    thesis = home.with_name("thesis.tex")
    thesis.write_text("four years", encoding="utf-8")
    home.mkdir()
    (home / "data").symlink_to(home.parent)
    assert CliRunner().invoke(app, ["reset", "--yes"]).exit_code == 0
    assert thesis.exists() and not home.exists()


@pytest.mark.parametrize("name", ["data/table", "thesis.tex"])
def test_reset_keeps_a_folder_that_is_the_users(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("data"):  # it looks like the kit's home, and is the user's
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("USERPROFILE", str(home))
    (home / name).parent.mkdir(parents=True)
    (home / name).write_text("four years", encoding="utf-8")
    answer = CliRunner().invoke(app, ["reset", "--yes"])
    assert answer.exit_code == 1
    assert "does not look like a home of the workshop" in str(answer.exception)
    assert (home / name).exists()


def test_reset_without_a_home_removes_nothing(home: Path) -> None:
    answer = CliRunner().invoke(app, ["reset", "--yes"])
    assert answer.exit_code == 0
    assert "Nothing to remove" in answer.output


@pytest.mark.integration
def test_ui_prints_the_address_of_mlflows_pages_once_they_answer_and_ctrl_c_ends_it() -> None:
    port = free_port()
    process = subprocess.Popen(
        [*WORKSHOP, "ui", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        announced = process.stdout.readline()
        url = f"http://127.0.0.1:{port}/"
        assert announced == f"MLflow answers on {url}#/models (Ctrl-C ends it)\n"
        assert "<title>MLflow</title>" in requests.get(url, timeout=60).text
        search = f"{url}api/2.0/mlflow/experiments/search"
        found = requests.post(search, json={"max_results": 5}, timeout=60).json()
        assert [experiment["name"] for experiment in found["experiments"]] == ["Default"]
        process.send_signal(signal.SIGINT)
        ended = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, *ended) == (0, "", "")


def test_ui_names_the_address_of_a_teams_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.com")
    answer = CliRunner().invoke(app, ["ui", "--port", str(free_port())])
    assert answer.exit_code == 1
    assert "open http://mlflow.example.com" in str(answer.exception)


def test_ctrl_c_during_the_imports_prints_no_traceback() -> None:
    code = """
import sys
from workshop.__main__ import main

class Stopped:
    def find_spec(self, name, path=None, target=None):
        if name == "workshop.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stopped())
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Stopped.\n")


def test_python_without_docstrings_is_refused_in_one_sentence() -> None:
    command = [sys.executable, "-OO", "-m", "workshop", "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PYTHONOPTIMIZE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_character_outside_of_the_terminals_encoding_is_escaped(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "WORKSHOP_HOME": str(tmp_path / "h\u00f6me")}
    command = [sys.executable, "-m", "workshop", "reset"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "h\\xf6me" in done.stdout


def test_ui_on_a_taken_port_is_refused_before_mlflow_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = workshop_here("ui", "--port", str(port))
    assert (refused.code, refused.out) == (1, "")
    assert f"can't listen at 127.0.0.1:{port}" in refused.err
    assert refused.err.strip().endswith("choose another --port.")


def test_ctrl_c_while_ui_imports_mlflow_prints_no_traceback() -> None:
    # Compiled code may turn the KeyboardInterrupt into another error, or drop it.
    code = f"""
import os, signal, sys
from workshop.__main__ import main

class Stopped:
    def find_spec(self, name, path=None, target=None):
        if name == "workshop.core.registry.mlflow_store":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("numpy.core.multiarray failed to import")

sys.meta_path.insert(0, Stopped())
sys.argv = ["workshop", "ui", "--port", "{free_port()}"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Stopped.\n")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """`workshop ui` fails in a way that no command expects."""

    def fail() -> None:
        raise LookupError("[no] such\nthing, Bearer abcdef")

    monkeypatch.setattr(mlflow_store, "connect", fail)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("writable", [True, False])
def test_an_unexpected_error_is_one_sentence_and_a_log(
    writable: bool, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if not writable:
        home.write_text("a file where the folder should be", encoding="utf-8")
    failed = workshop_here("ui", "--port", str(free_port()))
    assert (failed.code, failed.out) == (1, "")
    (line,) = failed.err.strip().splitlines()
    assert "(LookupError: [no] such thing, Bearer ***): report it with the traceback in " in line
    (log,) = (home / "errors" if writable else temporary).iterdir()
    assert line.endswith(f"{log}.")
    written = log.read_text(encoding="utf-8")
    assert written.startswith("Traceback")
    assert "in fail" in written
    assert "abcdef" not in written


@pytest.mark.usefixtures("broken")
def test_an_unexpected_error_is_one_sentence_even_without_a_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    failed = workshop_here("ui", "--port", str(free_port()))
    assert failed.code == 1
    assert len(failed.err.strip().splitlines()) == 1
    assert "its log could not be written" in failed.err
