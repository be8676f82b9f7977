import base64
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from tests.core.test_notebook_task import Task
from tests.core.test_outcome import outcome
from workshop.core.errors import WorkshopError
from workshop.core.handover import hand_over, received


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, home: Path) -> Task:
    task = Task(monkeypatch)
    monkeypatch.setenv("WORKSHOP_HOME", str(home))
    return task


def test_a_job_gets_the_outcome_as_it_would_be_read_on_a_laptop(task: Task) -> None:
    made = outcome("promoted")
    hand_over(made)
    got = received("part_1_3_evaluating", task.ended_with[0])
    assert got.outcome == json.loads(json.dumps(made.as_dict()))
    assert got.data_version == {}


def test_a_job_gets_the_picture_of_the_decision(task: Task) -> None:
    hand_over(outcome("promoted"), plt.figure())
    picture = base64.b64decode(received("part_1_3_evaluating", task.ended_with[0]).picture)
    assert picture.startswith(b"\x89PNG")


def test_a_job_gets_what_else_a_notebook_says_as_text(task: Task) -> None:
    hand_over(candidate="3", rows=1064)
    got = received("part_1_2_training", task.ended_with[0])
    assert (got.outcome, got.said) == (None, {"candidate": "3", "rows": "1064"})


def test_jupyter_shows_the_outcome_and_goes_on(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    hand_over(outcome("promoted"))
    assert "promoted" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "done", "[1]", '{"outcome": 3}'])
def test_anything_else_is_one_sentence(text: str) -> None:
    with pytest.raises(WorkshopError, match="What part_1_2_training ended with is not what the workshop's notebooks"):
        received("part_1_2_training", text)
