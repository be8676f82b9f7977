import io
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.support.models import refusal
from workshop.cli import history
from workshop.core.parameters import Terms
from workshop.core.promotion.gate import decide
from workshop.core.promotion.history import Event
from workshop.core.promotion.outcome import Guard

TARGET = np.repeat([0, 1], [60, 40])
GOOD, FAIR = (np.clip(0.5 * TARGET + np.linspace(0, reach, 100), 0, 1) for reach in (0.2, 0.9))
LOADED = Guard("loads", True, "It was loaded.", "callers")
REFUSED = Guard("same inputs as Production", False, "It takes another column.", "callers")


def event(kind: Any, version: str, champion: str | None, **said: Any) -> Event:
    told: dict[str, Any] = {
        "reason": "It was corked.",
        "who": "ana@desk",
        "git_commit": "0" * 40,
        "at": "2026-11-24T12:34:56.789+00:00",
        "run_id": "20261124T120000Z-dev-ana",
        "id": f"run-of-{kind}",
    }
    return Event(kind=kind, version=version, champion=champion, **{**told, **said})


def decided(candidate: np.ndarray | None, champion: np.ndarray | None, *checked: Guard) -> dict[str, Any]:
    """What an event has of a comparison beyond one that a person has made."""
    decision = decide(TARGET, candidate, champion, Terms(), checked=checked)
    return {
        "rows": "production@0",
        "run_name": "dev-ana",
        "terms": Terms().model_dump(),
        "decision": decision.as_dict(),
        "reason": decision.reason,
    }


EVENTS = [
    event("promotion", "1", None, **decided(FAIR, None, LOADED)),
    event("refusal", "2", "1", **decided(None, None, LOADED, REFUSED)),
    event("rejection", "3", "1", **decided(FAIR, GOOD, LOADED)),
    event("staging", "4", "1", **decided(GOOD, FAIR, LOADED)),
    event("promotion", "14", "13", **decided(GOOD, FAIR, LOADED), state="returned", problem="It did not answer."),
    event("rollback", "1", "14"),
    event("override", "14", "1", reason="The [bold]tasters[/] say so."),
]


# For programs


def test_the_fields_that_other_programs_read_are_these() -> None:
    read = json.loads(json.dumps(history.for_programs("wine_quality", EVENTS)))
    assert set(read) == {"model", "events"}
    assert read["model"] == "wine_quality"
    assert len(read["events"]) == len(EVENTS)
    for each in read["events"]:
        assert set(each) == {
            *("number", "event", "state", "version", "champion", "reason", "at", "who", "run_name", "run_id"),
            *("git_commit", "compared_on", "rows_digest", "terms", "decision", "problem", "mlflow_run"),
        }


def test_the_fields_of_a_decision_and_of_what_it_rests_on_are_these() -> None:
    for each in history.for_programs("wine_quality", EVENTS)["events"][:5]:
        decision = each["decision"]
        assert set(decision) == {
            *("verdict", "reason", "rows", "positives", "confidence", "min_improvement", "guards", "looks"),
            *("auc_candidate", "auc_champion", "difference", "standard_error", "lower_bound", "upper_bound"),
            *("p_value", "notes"),
        }
        assert set(decision["looks"]) == {
            *("number", "false_promotion_chance", "corrected_confidence", "corrected_lower_bound", "corrected"),
        }
        assert len(decision["guards"]) >= 2
        for guard in decision["guards"]:
            assert set(guard) == {"name", "passed", "finding", "protects", "figures"}
        assert set(each["terms"]) == {
            *("confidence", "min_improvement", "detectable_improvement", "slice_tolerance", "correct_for_looks"),
        }


def test_an_event_says_what_happened_in_order() -> None:
    events = history.for_programs("wine_quality", EVENTS)["events"]
    assert [each["number"] for each in events] == [1, 2, 3, 4, 5, 6, 7]
    assert [each["event"] for each in events] == [each.kind for each in EVENTS]
    assert [each["compared_on"] for each in events] == ["production@0"] * 5 + ["", ""]
    assert events[4]["decision"] == EVENTS[4].decision
    assert events[5] == {
        "number": 6,
        "event": "rollback",
        "state": "done",
        "version": "1",
        "champion": "14",
        "reason": "It was corked.",
        "at": "2026-11-24T12:34:56.789+00:00",
        "who": "ana@desk",
        "run_name": "",
        "run_id": "20261124T120000Z-dev-ana",
        "git_commit": "0" * 40,
        "compared_on": "",
        "rows_digest": "",
        "terms": None,
        "decision": None,
        "problem": "",
        "mlflow_run": "run-of-rollback",
    }


def test_a_model_without_a_history_has_no_events() -> None:
    assert history.for_programs("wine_quality", []) == {"model": "wine_quality", "events": []}


# For a terminal


def printed(events: list[Event], width: int = 80) -> list[str]:
    """The lines of the table, on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width)
    console.print(history.as_table("wine_quality", events))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return [line for line in str(written).splitlines() if line.strip()]


def test_on_eighty_columns_the_figures_are_whole() -> None:
    lines = printed(EVENTS)
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("wine_quality: 7 events")
    assert "…" not in "\n".join(lines)
    compared = EVENTS[4].decision
    assert compared is not None
    assert lines[1].split()[:8] == ["#", "when", "(UTC)", "what", "version", "AUC", "gain", ">="]
    rows = [line.split() for line in lines if line.split()[0].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6", "7"]
    assert rows[0][1:5] == ["11-24", "12:34", "promotion", "1"]
    assert rows[4][1:9] == ["11-24", "12:34", "promotion,", "returned", "14", "over", "13",
                            f"{compared['lower_bound']:+.4f}"]  # fmt: skip
    assert rows[5][1:7] == ["11-24", "12:34", "rollback", "1", "over", "14"]


def test_why_says_what_the_other_columns_do_not() -> None:
    lines = "\n".join(printed(EVENTS, 200))
    assert "refused, failed: same inputs as Production" in lines
    assert "baseline" in lines and "not better" in lines
    assert "It did not answer." in lines
    assert "It was corked." in lines
    assert "ana@desk" in lines


def test_what_a_person_has_said_is_shown_as_it_was_said() -> None:
    assert "The [bold]tasters[/] say so." in "\n".join(printed(EVENTS, 200))


@pytest.mark.parametrize("who", ["Ana [cellar]", "Ana [/]"])
def test_a_person_whose_name_has_brackets_is_called_by_it(who: str) -> None:
    assert who in "\n".join(printed([event("rollback", "1", "2", who=who)], 200))


# As a picture


@pytest.mark.parametrize("name", ["history.png", "folder/of/its/own/history.png"])
def test_the_picture_is_written(tmp_path: Path, name: str) -> None:
    history.draw(EVENTS, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.format == "PNG"
        assert picture.width > 100 and picture.height > 100
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 5
    plt.close("all")


def test_a_picture_of_a_kind_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    with refusal("history.corked", ".png or .svg"):
        history.draw(EVENTS, tmp_path / "history.corked")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_no_kind_is_refused(tmp_path: Path) -> None:
    with refusal(".png or .svg"):
        history.draw(EVENTS, tmp_path / "history")


@pytest.mark.parametrize("name", ["a file/history.png", "a file/folder/history.png", "a folder.png"])
def test_a_place_that_can_not_be_written_to_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_text("in the way")
    (tmp_path / "a folder.png").mkdir()
    with refusal(name.split("/", maxsplit=1)[0]):
        history.draw(EVENTS, tmp_path / name)
