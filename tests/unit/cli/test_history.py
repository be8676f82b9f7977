import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from tests.support import chromium
from tests.support.models import refusal
from workshop.cli import history
from workshop.core.parameters import Terms
from workshop.core.promotion import plots
from workshop.core.promotion.event import Event
from workshop.core.promotion.gate import decide
from workshop.core.promotion.outcome import Guard

TARGET = np.repeat([0, 1], [60, 40])
GOOD, FAIR = (np.clip(0.5 * TARGET + np.linspace(0, reach, 100), 0, 1) for reach in (0.2, 0.9))
LOADED = Guard("loads", True, "It was loaded.", "callers")
REFUSED = Guard("same inputs as Production", False, "It takes another column.", "callers")


def event(kind: Any, version: str, champion: str | None, **values: Any) -> Event:
    defaults: dict[str, Any] = {
        "reason": "It was corked.",
        "who": "ana@desk",
        "git_commit": "0" * 40,
        "at": "2026-11-24T12:34:56.789+00:00",
        "run_id": "20261124T120000Z-dev-ana",
        "id": f"run-of-{kind}",
    }
    return Event(kind=kind, version=version, champion=champion, **{**defaults, **values})


def decided(candidate: np.ndarray | None, champion: np.ndarray | None, *checked: Guard) -> dict[str, Any]:
    """Return the fields of an event with a comparison."""
    decision = decide(TARGET, candidate, champion, Terms(), checked=checked)
    return {
        "rows": "production@0",
        "run_name": "dev-ana",
        "terms": Terms().model_dump(),
        "decision": decision.as_dict(),
        "reason": decision.reason,
    }


def numbered(events: list[Event]) -> list[Event]:
    return [replace(each, number=number) for number, each in enumerate(events, 1)]


EVENTS = numbered(
    [
        event("promotion", "1", None, **decided(FAIR, None, LOADED)),
        event("refusal", "2", "1", **decided(None, None, LOADED, REFUSED)),
        event("rejection", "3", "1", **decided(FAIR, GOOD, LOADED)),
        event("staging", "4", "1", **decided(GOOD, FAIR, LOADED)),
        event("promotion", "14", "13", **decided(GOOD, FAIR, LOADED), state="returned", problem="It did not answer."),
        event("rollback", "1", "14"),
        event("override", "14", "1", reason="The [bold]tasters[/] prefer it."),
    ]
)


# JSON


def test_the_document_has_exactly_the_documented_fields() -> None:
    document = json.loads(json.dumps(history.for_programs("wine_quality", EVENTS)))
    assert set(document) == {"model", "events"}
    assert len(document["events"]) == len(EVENTS)
    for each in document["events"]:
        assert set(each) == {
            *("number", "event", "state", "version", "champion", "reason", "at", "who", "run_name", "run_id"),
            *("git_commit", "compared_on", "rows_digest", "terms", "decision", "problem", "mlflow_run"),
        }
    for each in document["events"][:5]:
        decision = each["decision"]
        assert set(decision) == {
            *("verdict", "reason", "rows", "positives", "confidence", "min_improvement", "guards", "looks"),
            *("auc_candidate", "auc_champion", "difference", "standard_error", "lower_bound", "upper_bound"),
            *("p_value", "notes"),
        }
        assert set(decision["looks"]) == {
            *("number", "false_promotion_chance", "corrected_confidence", "corrected_lower_bound", "corrected"),
            *("spends", "new_wines", "more_looks"),
        }
        for guard in decision["guards"]:
            assert set(guard) == {"name", "passed", "finding", "protects", "figures"}
        assert set(each["terms"]) == {
            *("confidence", "min_improvement", "detectable_improvement", "slice_tolerance", "correct_for_looks"),
        }


def test_the_document_has_the_values_of_the_events_in_order() -> None:
    assert history.for_programs("wine_quality", []) == {"model": "wine_quality", "events": []}
    events = history.for_programs("wine_quality", EVENTS)["events"]
    assert [(each["number"], each["event"]) for each in events] == [(n, each.kind) for n, each in enumerate(EVENTS, 1)]
    assert [each["compared_on"] for each in events] == ["production@0"] * 5 + ["", ""]
    assert events[4]["decision"] == EVENTS[4].decision
    recorded = {"version": "1", "champion": "14", "reason": "It was corked.", "at": EVENTS[5].at, "who": "ana@desk"}
    empty = {"run_name": "", "compared_on": "", "rows_digest": "", "terms": None, "decision": None, "problem": ""}
    assert events[5] == {
        **{"number": 6, "event": "rollback", "state": "done", "mlflow_run": "run-of-rollback"},
        **{"run_id": "20261124T120000Z-dev-ana", "git_commit": "0" * 40},
        **recorded,
        **empty,
    }


# Table


def printed(events: list[Event], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(history.as_table("wine_quality", numbered(events), width))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return [line for line in str(written).splitlines() if line.strip()]


def test_the_figures_fit_into_eighty_columns() -> None:
    lines = printed(EVENTS)
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("wine_quality: 7 events")
    assert "…" not in "\n".join(lines)
    compared = EVENTS[4].decision
    assert compared is not None
    assert lines[2].split()[:6] == ["#", "when", "(UTC)", "what", "version", "bound"]
    rows = [line.split() for line in lines if line.split()[0].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6", "7"]
    assert rows[0][1:5] == ["11-24", "12:34", "promotion", "1"]
    assert rows[4][1:7] == ["11-24", "12:34", "promotion,", "14", "over", "13"]
    assert rows[4][7] == f"{compared['lower_bound']:+.4f}"
    assert rows[5][1:7] == ["11-24", "12:34", "rollback", "1", "over", "14"]


def test_no_text_is_cut_at_eighty_columns_after_hundreds_of_events() -> None:
    reason = "the cellarmaster, extraordinarily responsible, has approved it"
    many = [event("comparison", "111", "110", state="intended", **decided(GOOD, FAIR, LOADED))] * 120
    lines = printed([*many, event("override", "112", "111", reason=reason)])
    start = next(index for index, line in enumerate(lines) if line.startswith("121 "))
    assert "".join("".join(line[68:].split()) for line in lines[start:]) == reason.replace(" ", "")
    assert all(len(line) <= 80 for line in lines)


def test_the_table_contains_reasons_and_names_as_they_were_written() -> None:
    lines = "\n".join(printed([*EVENTS, event("rollback", "1", "2", who="Ana [/]")], 200))
    for text in (
        *("refused, failed: same inputs as Production", "baseline", "not better", "It did not answer."),
        *("It was corked.", "ana@desk", "The [bold]tasters[/] prefer it.", "Ana [/]"),
    ):
        assert text in lines


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_narrow_terminal_shows_each_event_as_a_sentence(width: int) -> None:
    lines = printed(EVENTS, width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert text.startswith("wine_quality: 7 events # when (UTC) event ")
    for words in (
        "2 11-24 12:34 refusal of version 2, by ana@desk: refused, failed: same inputs as Production",
        "3 11-24 12:34 rejection of version 3, by ana@desk: not better, lower bound +0.0000",
        "5 11-24 12:34 promotion of version 14 over 13 (returned), by ana@desk: It did not answer.",
        "7 11-24 12:34 override of version 14 over 1, by ana@desk: The [bold]tasters[/] prefer it.",
    ):
        assert words in text


def test_a_guard_that_could_not_judge_is_named(width: int = 200) -> None:
    unjudged = Guard("not worse on sweet wines", None, "3 sweet wines.", "verdict")
    (line,) = printed([event("promotion", "4", "1", **decided(GOOD, FAIR, LOADED, unjudged))], width)[-1:]
    assert "not judged: not worse on sweet wines" in line


# Picture


@pytest.mark.parametrize("name", ["history.png", "history.svg"])
def test_a_picture_of_the_same_events_is_not_drawn_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.draw(EVENTS, tmp_path / name)
    drawn: list[int] = []

    def counted(events: list[Event]) -> Figure:
        drawn.append(len(events))
        return picture(events)

    picture = plots.history_picture
    monkeypatch.setattr(plots, "history_picture", counted)

    history.draw(EVENTS, tmp_path / name)
    assert drawn == []
    history.draw(EVENTS[:-1], tmp_path / name)
    history.draw(EVENTS[:-1], tmp_path / name)
    assert drawn == [len(EVENTS) - 1]


@pytest.mark.parametrize("name", ["history.png", "folder/of/its/own/history.png"])
def test_the_picture_is_written(tmp_path: Path, name: str) -> None:
    history.draw(EVENTS, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.format == "PNG"
        assert picture.width > 100 and picture.height > 100
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 5
    plt.close("all")


@chromium.needed
@pytest.mark.integration
def test_an_svg_follows_the_dark_theme(tmp_path: Path) -> None:
    history.draw(EVENTS, tmp_path / "history.svg")
    grounds = []
    for dark in (False, True):
        chromium.picture((tmp_path / "history.svg").as_uri(), tmp_path / "seen.png", 600, 400, dark=dark)
        with Image.open(tmp_path / "seen.png") as seen:
            grounds.append(seen.convert("L").getpixel((3, 3)))
    assert grounds == [255, pytest.approx(20, abs=2)]


@pytest.mark.parametrize("name", ["history.corked", "history"])
def test_a_picture_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with refusal(name, ".png or .svg"):
        history.draw(EVENTS, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a file/history.png", "a file/folder/history.png", "a folder.png"])
def test_a_place_that_can_not_be_written_to_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_text("in the way")
    (tmp_path / "a folder.png").mkdir()
    with refusal(name.split("/", maxsplit=1)[0]):
        history.draw(EVENTS, tmp_path / name)
