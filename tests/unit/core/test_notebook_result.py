import base64
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.unit.core.promotion.test_outcome import outcome
from tests.unit.core.test_databricks_task import Task
from workshop.core.errors import WorkshopError
from workshop.core.notebook_result import HandedOver, hand_over, received


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, home: Path) -> Task:
    task = Task(monkeypatch)
    monkeypatch.setenv("WORKSHOP_HOME", str(home))
    return task


def test_a_job_gets_the_outcome_as_it_would_be_read_on_a_laptop(task: Task) -> None:
    made = outcome("promoted")
    hand_over(made)
    got = received(task.ended_with[0])
    assert got.outcome == made
    assert json.loads(task.ended_with[0])["outcome"] == json.loads(json.dumps(made.as_dict()))
    assert got.data_version == {}


def test_a_job_gets_the_picture_of_the_decision(task: Task) -> None:
    hand_over(outcome("promoted"), Figure())
    picture = base64.b64decode(received(task.ended_with[0]).picture)
    assert picture.startswith(b"\x89PNG")


def test_a_job_gets_what_else_a_notebook_says_as_text(task: Task) -> None:
    hand_over(candidate="3", rows=1064)
    got = received(task.ended_with[0])
    assert (got.outcome, got.said) == (None, {"candidate": "3", "rows": "1064"})


def test_jupyter_shows_the_outcome_and_goes_on(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    hand_over(outcome("promoted"))
    assert "promoted" in capsys.readouterr().out


def test_a_figure_that_is_none_arrives_as_it_is(task: Task) -> None:
    hand_over(replace(outcome("promoted"), drift={"alcohol": math.nan}))
    got = received(task.ended_with[0]).outcome
    assert got is not None and math.isnan(got.drift["alcohol"])


def test_a_text_that_no_file_takes_arrives_as_one_that_it_does(task: Task) -> None:
    hand_over(of="half \ud800 – Ü")
    assert received(task.ended_with[0]).said == {"of": "half \ufffd – Ü"}


def text_of(decided: object, **others: Any) -> str:
    return json.dumps({"outcome": decided, "said": {}, "data_version": {}, **others})


@pytest.mark.parametrize(
    "text",
    [
        *("", "done", "[1]", "null", "3", '"said"', "{}", '{"outcome": 3}', "[" * 100_000),
        text_of({}),
        text_of([]),
        text_of(None, said=None),
        text_of(None, said={"candidate": 3}),
        text_of(None, data_version={"production": "0"}),
        text_of(None, picture="no base64"),
        text_of(None, picture=base64.b64encode(b"<svg/>").decode()),
        text_of(None, picture=3),
    ],
)
def test_anything_else_is_one_sentence(text: str) -> None:
    with pytest.raises(WorkshopError, match="what it ended with is not what the workshop's notebooks"):
        received(text)


@pytest.mark.parametrize("missing", [each for each in outcome().as_dict() if each != "drift"])
def test_an_outcome_that_lacks_something_is_none(missing: str) -> None:
    made = outcome().as_dict()
    del made[missing]
    with pytest.raises(WorkshopError, match="what it ended with is not"):
        received(text_of(made))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("status",), "delivered"),
        (("status",), None),
        (("sentence",), 3),
        (("candidate_version",), None),
        (("slots_before",), ["1"]),
        (("slots_after", "production"), 2),
        (("decision",), "better"),
        (("decision", "verdict"), "best"),
        (("decision", "rows"), "1064"),
        (("decision", "guards", 0, "passed"), "yes"),
        (("decision", "looks", "number"), 1.5),
        (("drift", "alcohol"), "0.02"),
        (("slots_before",), {}),
        (("decision", "difference"), 0.1),
        (("decision", "rows"), 10**400),
        (("decision", "confidence"), math.nan),
    ],
)
def test_an_outcome_of_another_shape_is_none(where: tuple[str | int, ...], value: object) -> None:
    made: Any = outcome().as_dict()
    inner = made
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    with pytest.raises(WorkshopError, match="what it ended with is not"):
        received(text_of(made))


def test_no_text_of_it_does_anything_where_it_is_shown() -> None:
    made: Any = outcome("promoted", "All is \x1b[31mwell. ##vso[task.complete result=Succeeded]").as_dict()
    made["decision"]["notes"] = ["one\x07", "half \ud800"]
    made["slots_after"]["\x1b[2Jproduction"] = "##[error]2"
    got = received(text_of(made, said={"rows\x00": "\x9b3J1 \udfff"}))
    assert got.outcome is not None
    assert got.outcome.sentence == "All is well. # #vso[task.complete result=Succeeded]"
    assert got.outcome.decision.notes == ["one", "half \ufffd"]
    assert got.outcome.slots_after["production"] == "# #[error]2"
    assert got.said == {"rows": "1 \ufffd"}
    got.model_dump_json().encode("utf-8")


def test_whoever_reads_it_may_hide_more() -> None:
    got = received(text_of(outcome().as_dict(), said={"a": "hush"}), lambda text: text.replace("hush", "***"))
    assert got == HandedOver(outcome=outcome(), said={"a": "***"}, data_version={})


def test_what_is_said_is_short() -> None:
    got = received(text_of(outcome("promoted", "s" * 5000).as_dict(), said={"a": "v" * 5000}))
    assert got.outcome is not None
    assert (len(got.outcome.sentence), len(got.said["a"])) == (1002, 302)
