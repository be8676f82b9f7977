"""What a command waits for is on a terminal from the start, and never in the way of a program."""

import shutil
from pathlib import Path

import pytest

from databricks_local.mlflow_server import free_port
from tests.support.commands import Finished, workshop_here
from workshop.doctor import laptop
from workshop.runner import kernels

COMMANDS = {
    "status --json": "the store",
    "history --json": "the store",
    "doctor --target local --json": "the checks",
    "rollback": "the store and the model",
    "promote 1 --reason x": "the store and the model",
    "run --parameter nosuch=1": "the libraries",
    "serve --port 0": "the store and the model",
    "ui --port FREE": "MLflow to start",
    "databricks local --folder /dev/null": "an MLflow server to start",
}


@pytest.fixture(params=COMMANDS)
def arguments(request: pytest.FixtureRequest, home: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A command that ends at once, after what it waits for."""
    monkeypatch.setattr(laptop, "examine", lambda report: None)
    monkeypatch.setattr(kernels, "begin_warming", lambda: None)
    home.mkdir()
    shutil.copy(fresh_store, home)
    if request.param.startswith("ui"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.com")
    return str(request.param)


def run(arguments: str, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> Finished:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich then treats every stream as a terminal
    return workshop_here(*arguments.replace("FREE", str(free_port())).split())


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_what_is_waited_for_and_a_log_does_not(
    arguments: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(arguments, monkeypatch, terminal=terminal)
    assert (f"Waiting for {COMMANDS[arguments]} …" in done.err) == terminal
    assert f"Waiting for {COMMANDS[arguments]}" not in done.out
