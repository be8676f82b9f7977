"""The history of a registered model: every promotion, rejection, rollback and override, with its author and reason.

Each event is a run of the MLflow experiment `<model>/history`, created by one call; only its state changes later. A
swap is recorded as intended before it happens, so that the next run after a crash finds it.

Events are in the order of recording, since the clocks of machines disagree: the start time of an event's run is later
than that of every event before it. The event itself contains the recording machine's time.

Each event's run is tagged with its number, so that the newest events are read without those before them. Events of an
earlier kit have no such tag: their numbers are counted, once all of them and then from the first event with a number.
"""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.entities.run_tag import RunTag
from pydantic import TypeAdapter

from kit_common.times import utc
from workshop.core.promotion.outcome import Kind
from workshop.core.provenance import git_commit, who
from workshop.core.registry.mlflow_store import ensure_experiment, experiment_name, explained
from workshop.core.settings import current_settings

State = Literal["intended", "done", "dropped", "returned"]
"""`dropped`: a crash before the swap. `returned`: the new holder did not answer, and the slot was given back."""

_STATES: list[State] = ["done", "returned", "dropped", "intended"]
"""Most final first."""

STATE_TAG = "workshop.state"
EVENT_TAG = "workshop.event"
ROWS_TAG = "workshop.compared_on"
LOOK_TAG = "workshop.look"
TEST_TAG = "workshop.test"
RECORD_TAG = "workshop.record"
PROBLEM_TAG = "workshop.problem"
NUMBER_TAG = "workshop.number"
_DESCRIPTION_TAG = "mlflow.note.content"
_USER_TAG = "mlflow.user"
_LONGEST_TAG = 8000
_FEW = 5
"""Events to read at a time where the newest is mostly enough."""
_START = "attributes.start_time"
_RUNS_A_PAGE = 1000
_OF_A_DECISION = {"verdict", "difference", "guards"}
_log = logging.getLogger("workshop")


@dataclass(frozen=True)
class Event:
    """A decision about a version, or a change of a slot."""

    kind: Kind
    version: str
    champion: str | None
    """The version that held Production."""
    reason: str
    rows: str = ""
    """The snapshot that was compared on, as in `production@0`; empty without a comparison."""
    rows_digest: str = ""
    """Digest of the rows themselves: in another home, or a new table, the same label names other rows."""
    run_name: str = ""
    terms: dict[str, Any] | None = None
    decision: dict[str, Any] | None = None
    look: dict[str, Any] | None = None
    """The look at production wines, see `looks.Look`; None where looks are not counted, and in older histories."""
    run_id: str = field(default_factory=lambda: current_settings().run_id)
    who: str = field(default_factory=who)
    git_commit: str = field(default_factory=git_commit)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    state: State = "done"
    problem: str = ""
    """The reason why the slot was given back."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Identifies the event: if an answer of the registry is lost, the client retries and records the event twice."""
    id: str = ""
    """The event's MLflow run; empty before it is recorded."""
    number: int = 0
    """Its place in the history, from 1; 0 before it is recorded, or if it was not counted."""

    @property
    def title(self) -> str:
        """The event in a few words."""
        over = f" over {self.champion}" if self.champion else ""
        match self.kind:
            case "promotion" | "override":
                return f"{self.kind} of version {self.version}{over}"
            case "rollback":
                return (
                    f"rollback from version {self.champion} to {self.version}"
                    if self.champion
                    else f"rollback to version {self.version}"
                )
            case _:
                return f"{self.kind} of version {self.version}"


class History:
    """The events of one registered model."""

    def __init__(self, client: MlflowClient, model_name: str) -> None:
        self.client = client
        self.model_name = model_name

    @property
    def experiment(self) -> str:
        """The name of the experiment that contains the events."""
        return experiment_name(f"{self.model_name}/history")

    def append(self, event: Event) -> Event:
        """Record an event, in one call, and return it with its id and number."""
        experiment = self._experiment()
        experiment_id = experiment.experiment_id if experiment else ensure_experiment(self.client, self.experiment)
        with explained(f"record the {event.kind} of version {event.version}"):
            shown = int(datetime.fromisoformat(event.at).timestamp() * 1000)
            latest, number = self._newest(experiment_id)
            tags = {
                EVENT_TAG: event.kind,
                STATE_TAG: event.state,
                NUMBER_TAG: str(number + 1),
                "workshop.version": event.version,
                "workshop.champion": event.champion or "",
                ROWS_TAG: event.rows_digest if _compared(event) else "",
                **_look_tags(event),
                **_record(event),
                _DESCRIPTION_TAG: _description(event),
                _USER_TAG: event.who,
            }
            start = max(shown, latest + 1)
            run = self.client.create_run(experiment_id, start_time=start, tags=tags, run_name=event.title)
            event = replace(event, id=run.info.run_id, number=number + 1)
            if event.state != "intended":
                self.client.set_terminated(event.id)
        return event

    def conclude(self, event: Event, state: State, problem: str = "") -> Event:
        """Record the final state of an intended swap."""
        with explained(f"record the {event.kind} of version {event.version}"):
            tags = [RunTag(STATE_TAG, state), *([RunTag(PROBLEM_TAG, problem[:_LONGEST_TAG])] if problem else [])]
            self.client.log_batch(event.id, tags=tags)
            self.client.set_terminated(event.id, "FINISHED" if state == "done" else "FAILED")
        return replace(event, state=state, problem=problem)

    def pending(self) -> list[Event]:
        """Return the swaps that are recorded as intended only, oldest first."""
        return [event for run in self._runs(f"tags.`{STATE_TAG}` = 'intended'") if (event := _event(run)) is not None]

    def events(self) -> list[Event]:
        """Return all events, oldest first, each once and with its number."""
        return _events(_entries(self._runs("")))

    def newest(self, most: int) -> list[Event]:
        """Return the newest events, oldest first, each once and with its number, without reading the others."""
        # One more, since an event that was recorded twice has two runs.
        runs = self._runs("", most + 1)[::-1]
        counted = len(runs) <= most or any(_number(run) for run in runs)
        return _events(_entries(runs))[-most:] if counted else self.events()[-most:]

    def event(self, number: int) -> Event | None:
        """Return the event of that number, or None."""
        found = _events(_entries(self._runs(f"tags.`{NUMBER_TAG}` = '{number}'"))) or self.events()
        return next((event for event in found if event.number == number), None)

    def compared_on(self, rows_digest: str) -> list[Event]:
        """Return the comparisons on those rows, oldest first, each once; the registry chooses them.

        The numbers of events of an earlier kit are not counted here.
        """
        found = _once(self._runs(f"tags.`{ROWS_TAG}` = '{rows_digest}'")).values()
        return [each for each in found if isinstance(each, Event)]

    def looks(self, test: str = "") -> Iterator[Event]:
        """Yield the looks, newest first, read when they are needed; with a test, those that made it.

        Events whose record is damaged are passed over.
        """
        experiment, token = self._experiment(), None
        wanted = f"tags.`{TEST_TAG}` = '{test}'" if test else f"tags.`{LOOK_TAG}` != ''"
        while experiment is not None:
            with explained(f"read the history of {self.model_name}"):
                page = self.client.search_runs(
                    [experiment.experiment_id],
                    wanted,
                    order_by=["attributes.start_time DESC"],
                    max_results=_FEW,
                    page_token=token,
                )
            yield from filter(None, map(_event, page))
            token = page.token
            if not token:
                break

    def suspect(self, event: Event, problem: str) -> None:
        """Record why an intended swap is about to be undone."""
        with explained(f"record the {event.kind} of version {event.version}"):
            self.client.set_tag(event.id, PROBLEM_TAG, problem[:_LONGEST_TAG])

    def _experiment(self) -> Experiment | None:
        """Return the experiment, if it exists; a deleted one is restored, since a history only grows."""
        with explained(f"read the history of {self.model_name}"):
            experiment = self.client.get_experiment_by_name(self.experiment)
            if experiment is not None and experiment.lifecycle_stage == LifecycleStage.DELETED:
                self.client.restore_experiment(experiment.experiment_id)
        return experiment

    def _newest(self, experiment_id: str) -> tuple[int, int]:
        """Return the start of the newest run and the number of the newest event, each 0 if there is none."""
        latest = self.client.search_runs(
            [experiment_id], run_view_type=ViewType.ALL, order_by=[f"{_START} DESC"], max_results=1
        )
        if not latest:
            return 0, 0
        number = _number(latest[0])
        if not number:  # an event of an earlier kit, or no event
            number = max((each for each, _ in _entries(self._runs(""))), default=0)
        return latest[0].info.start_time or 0, number

    def _runs(self, filter_string: str, most: int = 0) -> list[Run]:
        """Return the events' runs, oldest first, or `most` of them, newest first."""
        found: list[Run] = []
        with explained(f"read the history of {self.model_name}"):
            experiment = self._experiment()
            token = None
            while experiment is not None:
                page = self.client.search_runs(
                    [experiment.experiment_id],
                    filter_string,
                    order_by=[f"{_START} {'DESC' if most else 'ASC'}"],
                    max_results=min(most, _RUNS_A_PAGE) or _RUNS_A_PAGE,
                    page_token=token,
                )
                found += [run for run in page if RECORD_TAG in run.data.tags]
                token = page.token
                if not token or (most and len(found) >= most):
                    break
        return found[: most or None]


def _compared(event: Event) -> bool:
    return event.decision is not None and event.decision["difference"] is not None


def _look_tags(event: Event) -> dict[str, str]:
    """Return the tags by which a later look finds this one; none for a comparison that is no look."""
    if event.look is None or event.decision is None or not event.decision["looks"]["spends"]:
        return {}
    return {LOOK_TAG: str(event.look["number"]), TEST_TAG: event.look["test"]}


def _description(event: Event) -> str:
    notes = (event.decision or {}).get("notes", [])
    text = "\n\n".join([f"**{event.title}**, {utc(event.at)}, {event.who}", event.reason, *notes])
    return text[:_LONGEST_TAG]


def _record(event: Event) -> dict[str, str]:
    """Split the event's JSON into tags."""
    record = {name: value for name, value in asdict(event).items() if name not in ("id", "number", "state", "problem")}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    parts = [text[start : start + _LONGEST_TAG] for start in range(0, len(text), _LONGEST_TAG)]
    return {_part(number): part for number, part in enumerate(parts)}


def _part(number: int) -> str:
    return f"{RECORD_TAG}.{number}" if number else RECORD_TAG


def _event(run: Run) -> Event | None:
    """Return the event that a run contains; None if its record is damaged, which is logged."""
    tags = run.data.tags
    parts = takewhile(lambda part: part is not None, (tags.get(_part(number)) for number in count()))
    try:
        record = json.loads("".join(str(part) for part in parts))
        final = {"state": tags[STATE_TAG], "problem": tags.get(PROBLEM_TAG, "")}
        event = _EVENT.validate_python({**record, **final, "id": run.info.run_id, "number": _number(run)})
    except (ValueError, TypeError, KeyError):
        event = None
    if event is None or not (event.decision is None or event.decision.keys() >= _OF_A_DECISION):
        _log.warning("The run %s of the history is not a complete event, and is left out.", run.info.run_id)
        return None
    return event


def _number(run: Run) -> int:
    """Return the number with which an event was recorded, or 0."""
    recorded = run.data.tags.get(NUMBER_TAG, "") if RECORD_TAG in run.data.tags else ""
    return int(recorded) if recorded.isdecimal() else 0


def _once(runs: list[Run]) -> dict[str, Event | int]:
    """Return each event once, by its token; in place of a damaged one its number, by its run's id."""
    known: dict[str, Event | int] = {}
    for run in runs:
        event = _event(run)
        if event is None:
            known[run.info.run_id] = _number(run)
            continue
        twin = known.get(event.token)
        both = [twin, event] if isinstance(twin, Event) else [event]
        known[event.token] = min(both, key=lambda each: _STATES.index(each.state))
    return known


def _entries(runs: list[Run]) -> list[tuple[int, Event | None]]:
    """Return the events that consecutive runs contain, each once, with their numbers; None for a damaged one."""
    entries = [(each.number, each) if isinstance(each, Event) else (each, None) for each in _once(runs).values()]
    # The first that was recorded with a number has counted those before it.
    number = next((recorded - 1 - place for place, (recorded, _) in enumerate(entries) if recorded), 0)
    numbered: list[tuple[int, Event | None]] = []
    for recorded, event in entries:
        number = recorded or max(number + 1, 1)
        numbered.append((number, replace(event, number=number) if event is not None else None))
    return numbered


def _events(entries: list[tuple[int, Event | None]]) -> list[Event]:
    return [event for _, event in entries if event is not None]


_EVENT = TypeAdapter(Event)
