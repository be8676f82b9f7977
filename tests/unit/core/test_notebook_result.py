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
from workshop.core.notebook_result import HandedOver, hand_over, read_result


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, home: Path) -> Task:
    task = Task(monkeypatch)
    monkeypatch.setenv("WORKSHOP_HOME", str(home))
    return task


def test_a_job_returns_the_outcome_and_the_picture(task: Task) -> None:
    made = outcome("promoted")
    hand_over(made, Figure())
    got = read_result(task.ended_with[0])
    assert got.outcome == made
    assert json.loads(task.ended_with[0])["outcome"] == json.loads(json.dumps(made.as_dict()))
    assert got.data_version == {}
    assert base64.b64decode(got.picture).startswith(b"\x89PNG")


def test_a_job_returns_further_results_as_text(task: Task) -> None:
    hand_over(candidate="3", rows=1064, of="half \ud800 – Ü")
    got = read_result(task.ended_with[0])
    assert (got.outcome, got.said) == (None, {"candidate": "3", "rows": "1064", "of": "half \ufffd – Ü"})


def test_jupyter_shows_the_outcome_and_continues(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    hand_over(outcome("promoted"))
    assert "promoted" in capsys.readouterr().out


def test_a_drift_of_nan_is_kept(task: Task) -> None:
    hand_over(replace(outcome("promoted"), drift={"alcohol": math.nan}))
    got = read_result(task.ended_with[0]).outcome
    assert got is not None and math.isnan(got.drift["alcohol"])


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
def test_other_texts_are_one_sentence(text: str) -> None:
    with pytest.raises(WorkshopError, match="its result is not that of a workshop notebook"):
        read_result(text)


@pytest.mark.parametrize("missing", [each for each in outcome().as_dict() if each != "drift"])
def test_an_incomplete_outcome_is_refused(missing: str) -> None:
    made = outcome().as_dict()
    del made[missing]
    with pytest.raises(WorkshopError, match="its result is not"):
        read_result(text_of(made))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("status",), "delivered"),
        (("sentence",), 3),
        (("candidate_version",), None),
        (("slots_before",), ["1"]),
        (("slots_after", "production"), 2),
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
def test_an_outcome_with_a_wrong_value_is_refused(where: tuple[str | int, ...], value: object) -> None:
    made: Any = outcome().as_dict()
    inner = made
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    with pytest.raises(WorkshopError, match="its result is not"):
        read_result(text_of(made))


def test_every_text_of_a_result_is_harmless_and_short() -> None:
    made: Any = outcome("promoted", "All is \x1b[31mwell. ##vso[task.complete result=Succeeded]").as_dict()
    made["decision"]["notes"] = ["one\x07", "half \ud800"]
    made["slots_after"]["\x1b[2Jproduction"] = "##[error]2"
    got = read_result(text_of(made, said={"rows\x00": "\x9b3J1 \udfff"}))
    assert got.outcome is not None
    assert got.outcome.sentence == "All is well. # #vso[task.complete result=Succeeded]"
    assert got.outcome.decision.notes == ["one", "half \ufffd"]
    assert got.outcome.slots_after["production"] == "# #[error]2"
    assert got.said == {"rows": "1 \ufffd"}
    got.model_dump_json().encode("utf-8")
    long = read_result(text_of(outcome("promoted", "s" * 5000).as_dict(), said={"a": "v" * 5000}))
    assert long.outcome is not None
    assert (len(long.outcome.sentence), len(long.said["a"])) == (1002, 302)
    masked = read_result(text_of(outcome().as_dict(), said={"a": "hush"}), lambda text: text.replace("hush", "***"))
    assert masked == HandedOver(outcome=outcome(), said={"a": "***"}, data_version={})
