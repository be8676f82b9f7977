import builtins
import os
from types import SimpleNamespace

import pytest

from workshop.core import databricks_task
from workshop.core.parameters import read_parameters
from workshop.core.settings import current_settings


class Task:
    """A Databricks notebook task that runs this test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: dict[str, str] = {}
        self.ended_with: list[str] = []
        dbutils = SimpleNamespace(
            widgets=SimpleNamespace(getAll=lambda: self.values),
            notebook=SimpleNamespace(exit=self.ended_with.append),
        )
        shell = SimpleNamespace(user_ns={"dbutils": dbutils})
        monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        for name in databricks_task.FOR_THE_ENVIRONMENT:
            monkeypatch.setenv(name, "")


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    return Task(monkeypatch)


def test_a_widget_named_like_an_environment_variable_of_the_kit_sets_it(task: Task) -> None:
    task.values.update(WORKSHOP_HOME="/Volumes/main/wine/home", WORKSHOP_RUN_ID="x-main", run_name="main")
    assert read_parameters(run_name="").run_name == "main"
    assert str(current_settings().home) == "/Volumes/main/wine/home"
    assert current_settings().run_id == "x-main"


def test_a_widget_sets_no_other_environment_variable(task: Task) -> None:
    before = dict(os.environ)
    task.values.update(PATH="/tmp/elsewhere", PYTHONPATH="/tmp/elsewhere", LD_PRELOAD="/tmp/evil.so", MLFLOW_X="y")
    databricks_task.take_environment(databricks_task.widgets())
    assert dict(os.environ) == before


def test_a_task_ends_with_the_result(task: Task) -> None:
    databricks_task.end_with("a result")
    assert task.ended_with == ["a result"]


@pytest.mark.parametrize("shell", [None, SimpleNamespace(user_ns={})])
def test_without_a_task_there_are_no_widgets(shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    assert databricks_task.widgets() == {}
    assert not databricks_task.is_running()
