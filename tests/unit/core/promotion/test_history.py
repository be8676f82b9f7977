import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.support.faulty_registry import FailingClient
from tests.support.models import MODEL
from workshop.core.parameters import Terms
from workshop.core.promotion.event import NUMBER_TAG, RECORD_TAG, STATE_TAG, Event, State
from workshop.core.promotion.gate import decide
from workshop.core.promotion.history import History
from workshop.core.promotion.outcome import Guard


@pytest.fixture
def history(empty_registry: MlflowClient) -> History:
    return History(empty_registry, MODEL)


def decided(guards: int = 0) -> dict[str, object]:
    """Return a recorded decision with that many further guards."""
    scores = [0.1, 0.4, 0.35, 0.8]
    decision = decide(np.array([0, 0, 1, 1]), np.array(scores), np.array(scores[::-1]), Terms())
    more = [Guard(f"not worse on vineyard {number}", number > 0, 40 * "long. ", "verdict") for number in range(guards)]
    return replace(decision, guards=[*decision.guards, *more]).as_dict()


PROMOTION = Event(
    "promotion", "2", "1", "It is better.", rows="production@0", rows_digest="rows 0", terms={"confidence": 0.975}
)


def later(event: Event, seconds: int) -> Event:
    return replace(event, at=f"2026-11-24T12:00:{seconds:02}.000+00:00", token=f"at {seconds}")


def test_appended_events_are_read_oldest_first(history: History) -> None:
    assert history.events() == history.pending() == []
    assert history.compared_on("rows 0") == []
    appended = [history.append(later(replace(PROMOTION, version=version), int(version))) for version in "567"]
    assert history.events() == appended
    assert history.pending() == []
    assert len({event.id for event in appended}) == 3


@pytest.mark.parametrize("clock", ["2026-11-24T11:00:00.000+00:00", "2026-11-24T12:00:00.000+00:00"])
def test_events_are_in_the_order_of_recording_whatever_the_clocks_show(history: History, clock: str) -> None:
    first = [history.append(later(replace(PROMOTION, version=str(number)), number)) for number in range(3)]
    ahead = history.append(replace(PROMOTION, version="3", at="2099-01-01T00:00:00.000+00:00", token="ahead"))
    slow = [history.append(replace(PROMOTION, version=str(n), at=clock, token=f"slow {n}")) for n in range(4, 8)]
    assert history.events() == [*first, ahead, *slow]
    assert history.events()[-1].at == clock


def test_a_history_of_an_earlier_kit_keeps_its_order_and_can_be_continued(history: History) -> None:
    event = later(PROMOTION, 30)
    kept = history.append(event)
    old = history.client.get_run(kept.id)
    # As an earlier version of the kit recorded an event of a slow clock: before the others.
    start = old.info.start_time - 60_000
    tags = {**old.data.tags, RECORD_TAG: old.data.tags[RECORD_TAG].replace(event.token, "slow")}
    history.client.create_run(old.info.experiment_id, start_time=start, tags=tags)
    numbered = [each.token for each in history.events()]
    assert numbered == ["slow", event.token]
    history.append(replace(event, at="2020-01-01T00:00:00.000+00:00", token="new"))
    assert [each.token for each in history.events()] == [*numbered, "new"]


def without_number(history: History, event: Event) -> None:
    """Make an event one that an earlier kit has recorded."""
    history.client.delete_tag(event.id, NUMBER_TAG)


def test_the_newest_events_keep_their_numbers(history: History) -> None:
    assert history.newest(3) == []
    appended = [history.append(later(replace(PROMOTION, version=version), int(version))) for version in "56789"]
    assert [event.number for event in appended] == [1, 2, 3, 4, 5]
    assert history.newest(2) == appended[-2:]
    assert history.newest(5) == history.newest(9) == history.events() == appended


@pytest.mark.parametrize("old", range(6))
def test_events_without_a_number_are_counted(history: History, old: int) -> None:
    appended = [history.append(later(replace(PROMOTION, version=version), int(version))) for version in "56789"]
    for event in appended[:old]:
        without_number(history, event)
    assert history.events() == appended
    for most in range(1, 6):
        assert history.newest(most) == appended[-most:]
    for event in appended:
        assert history.event(event.number) == event
    assert history.event(6) is None
    assert history.append(replace(PROMOTION, token="new")).number == 6


def test_the_newest_events_are_read_without_the_others(empty_registry: MlflowClient, history: History) -> None:
    for version in "56789":
        history.append(later(replace(PROMOTION, version=version), int(version)))
    counting = FailingClient(empty_registry, 0, "error")
    read: list[int] = []
    search = empty_registry.search_runs

    def count(*arguments: object, **named: object) -> object:
        page = search(*arguments, **named)  # type: ignore[arg-type]
        read.append(len(page))
        return page

    counting.client = SimpleNamespace(search_runs=count, get_experiment_by_name=empty_registry.get_experiment_by_name)  # type: ignore[assignment]
    recorded = History(counting, MODEL)  # type: ignore[arg-type]
    assert [event.version for event in recorded.newest(2)] == ["8", "9"]
    found = recorded.event(2)
    assert found is not None and found.version == "6"
    assert read == [3, 1]


def test_an_event_keeps_its_number_when_an_earlier_one_is_deleted(history: History) -> None:
    appended = [history.append(later(replace(PROMOTION, version=version), int(version))) for version in "567"]
    without_number(history, appended[1])
    history.client.delete_run(appended[0].id)
    assert [event.number for event in history.events()] == [2, 3]
    history.client.delete_run(appended[2].id)
    assert history.append(replace(PROMOTION, token="new")).number == 4


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (RECORD_TAG, "{"),
        (RECORD_TAG, "[]"),
        (RECORD_TAG, '{"kind": "promotion"}'),
        (RECORD_TAG, '{"kind": "feast", "version": "1", "champion": null, "reason": ""}'),
        (RECORD_TAG, '{"kind": "rejection", "version": "1", "champion": null, "reason": "", "decision": {}}'),
        (STATE_TAG, "corked"),
        (STATE_TAG, None),
        (NUMBER_TAG, "many"),
        (NUMBER_TAG, ""),
    ],
)
def test_a_damaged_event_is_left_out_and_the_others_keep_their_numbers(
    history: History, tag: str, value: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    compared = replace(PROMOTION, decision=decided())
    first, damaged, last = [
        history.append(later(replace(compared, version=version), int(version))) for version in "567"
    ]
    if value is None:
        history.client.delete_tag(damaged.id, tag)
    else:
        history.client.set_tag(damaged.id, tag, value)
    left = [first, damaged, last] if tag == NUMBER_TAG else [first, last]
    assert history.events() == history.newest(3) == left
    assert (damaged.id in caplog.text) == (tag != NUMBER_TAG)
    assert history.pending() == []
    assert history.append(replace(PROMOTION, token="new")).number == 4


def test_the_comparisons_on_the_same_rows_are_read_in_order(history: History) -> None:
    compared = replace(PROMOTION, decision=decided())
    first = history.append(compared)
    history.append(replace(compared, rows_digest="rows 1", token="2"))
    second = history.append(replace(compared, kind="rejection", token="3"))
    assert history.compared_on("rows 0") == [first, second]
    assert history.compared_on("rows 2") == []


def test_an_event_is_written_by_one_call(empty_registry: MlflowClient) -> None:
    History(empty_registry, MODEL).append(PROMOTION)
    counting = FailingClient(empty_registry, 0, "error")
    History(counting, MODEL).append(PROMOTION)  # type: ignore[arg-type]
    assert counting.calls == ["get_experiment_by_name", "search_runs", "create_run", "set_terminated"]


def test_an_intended_swap_is_pending_until_it_is_concluded(history: History) -> None:
    intended = history.append(later(replace(PROMOTION, state="intended"), 1))
    other = history.append(later(replace(PROMOTION, version="9", state="intended"), 59))
    assert history.pending() == [intended, other]
    history.conclude(intended, "done")
    history.conclude(other, "returned", "It did not answer.")
    assert history.pending() == []
    assert [(event.state, event.problem) for event in history.events()] == [
        ("done", ""),
        ("returned", "It did not answer."),
    ]


def test_comparisons_are_found_by_their_rows(history: History) -> None:
    compared = replace(PROMOTION, decision=decided())
    history.append(compared)
    history.append(replace(compared, kind="rejection", token="2"))
    history.append(replace(compared, rows_digest="rows 1", token="3"))
    history.append(replace(compared, decision={**decided(), "difference": None}, token="4"))
    history.append(Event("rollback", "1", "2", "I did not like it."))
    assert [event.token for event in history.compared_on("rows 0")] == [compared.token, "2"]


def test_looks_are_read_newest_first_and_damaged_ones_are_passed_over(history: History) -> None:
    assert list(history.looks()) == []
    spending = {**decided(), "looks": {"spends": True}}
    for number in range(1, 8):
        look = {"number": number, "test": f"test {number % 2}"}
        event = history.append(replace(PROMOTION, decision=spending, look=look, token=str(number)))
    history.append(replace(PROMOTION, decision={**decided(), "looks": {"spends": False}}, look=look, token="free"))
    assert [each.token for each in history.looks()] == ["7", "6", "5", "4", "3", "2", "1"]
    assert [each.token for each in history.looks("test 0")] == ["6", "4", "2"]
    history.client.set_tag(event.id, "workshop.record", "damaged")
    assert next(history.looks()).token == "6"


def test_a_record_longer_than_a_tag_is_kept_whole(history: History) -> None:
    kept = history.append(replace(PROMOTION, decision=decided(30)))
    (event,) = history.events()
    assert len(json.dumps(kept.decision)) > 8000
    assert event == kept
    assert all(len(value) <= 8000 for value in history.client.get_run(kept.id).data.tags.values())


def test_other_runs_in_the_experiment_are_not_events(empty_registry: MlflowClient, history: History) -> None:
    history.append(PROMOTION)
    experiment = empty_registry.get_experiment_by_name(f"{MODEL}/history")
    assert experiment is not None
    empty_registry.create_run(experiment.experiment_id)
    assert len(history.events()) == 1


def test_more_events_than_a_page_are_all_read(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(5):
        history.append(later(replace(PROMOTION, version=str(version)), version))
    search = history.client.search_runs

    def two_a_page(*arguments: object, **named: object) -> object:
        return search(*arguments, **{**named, "max_results": 2})  # type: ignore[arg-type]

    monkeypatch.setattr(history.client, "search_runs", two_a_page)
    assert [event.version for event in history.events()] == ["0", "1", "2", "3", "4"]


def test_a_deleted_history_is_restored(empty_registry: MlflowClient, history: History) -> None:
    history.append(PROMOTION)
    experiment = empty_registry.get_experiment_by_name(f"{MODEL}/history")
    assert experiment is not None
    empty_registry.delete_experiment(experiment.experiment_id)
    assert len(history.events()) == 1
    empty_registry.delete_experiment(experiment.experiment_id)
    history.append(replace(PROMOTION, token="2"))
    assert len(history.events()) == 2


@pytest.mark.parametrize(
    ("event", "title"),
    [
        (PROMOTION, "promotion of version 2 over 1"),
        (replace(PROMOTION, champion=None), "promotion of version 2"),
        (replace(PROMOTION, kind="rejection"), "rejection of version 2"),
        (replace(PROMOTION, kind="rollback"), "rollback from version 1 to 2"),
        (replace(PROMOTION, kind="override"), "override of version 2 over 1"),
    ],
)
def test_the_title_names_the_event_and_its_versions(event: Event, title: str) -> None:
    assert event.title == title


@pytest.mark.parametrize("state", ["done", "dropped", "returned"])
def test_an_event_that_was_recorded_twice_is_one_event(history: History, state: State) -> None:
    event = replace(PROMOTION, state="intended", decision=decided())
    first = history.append(event)
    history.append(event)  # the answer was lost, and the registry's client retried
    history.conclude(first, state)
    assert [each.state for each in history.events()] == [state]
    assert len(history.compared_on("rows 0")) == 1
