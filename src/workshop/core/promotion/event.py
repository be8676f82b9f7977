"""An event of the history, and the MLflow run that contains it: its record is in tags, whole, and some of it once more.

A registry that has lost an answer gets an event twice, so that two runs may contain the same event.
"""

import json
import logging
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import Any, Literal

from mlflow.entities import Run
from pydantic import TypeAdapter

from kit_common.times import utc
from workshop.core.promotion.outcome import Kind
from workshop.core.provenance import git_commit, who
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
LONGEST_TAG = 8000
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


def tags_of(event: Event, number: int) -> dict[str, str]:
    """Return the tags of the run that is to contain the event, which is recorded with that number."""
    return {
        EVENT_TAG: event.kind,
        STATE_TAG: event.state,
        NUMBER_TAG: str(number),
        "workshop.version": event.version,
        "workshop.champion": event.champion or "",
        ROWS_TAG: event.rows_digest if _compared(event) else "",
        **_look_tags(event),
        **_record(event),
        _DESCRIPTION_TAG: _description(event),
        _USER_TAG: event.who,
    }


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
    return text[:LONGEST_TAG]


def _record(event: Event) -> dict[str, str]:
    """Split the event's JSON into tags."""
    record = {name: value for name, value in asdict(event).items() if name not in ("id", "number", "state", "problem")}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    parts = [text[start : start + LONGEST_TAG] for start in range(0, len(text), LONGEST_TAG)]
    return {_part(number): part for number, part in enumerate(parts)}


def _part(number: int) -> str:
    return f"{RECORD_TAG}.{number}" if number else RECORD_TAG


def event_in(run: Run) -> Event | None:
    """Return the event that a run contains; None if its record is damaged, which is logged."""
    tags = run.data.tags
    parts = takewhile(lambda part: part is not None, (tags.get(_part(number)) for number in count()))
    try:
        record = json.loads("".join(str(part) for part in parts))
        final = {"state": tags[STATE_TAG], "problem": tags.get(PROBLEM_TAG, "")}
        event = _EVENT.validate_python({**record, **final, "id": run.info.run_id, "number": number_of(run)})
    except (ValueError, TypeError, KeyError):
        event = None
    if event is None or not (event.decision is None or event.decision.keys() >= _OF_A_DECISION):
        _log.warning("The run %s of the history is not a complete event, and is left out.", run.info.run_id)
        return None
    return event


def number_of(run: Run) -> int:
    """Return the number with which an event was recorded, or 0."""
    recorded = run.data.tags.get(NUMBER_TAG, "") if RECORD_TAG in run.data.tags else ""
    return int(recorded) if recorded.isdecimal() else 0


def once(runs: list[Run]) -> dict[str, Event | int]:
    """Return each event once, by its token; in place of a damaged one its number, by its run's id."""
    known: dict[str, Event | int] = {}
    for run in runs:
        event = event_in(run)
        if event is None:
            known[run.info.run_id] = number_of(run)
            continue
        twin = known.get(event.token)
        both = [twin, event] if isinstance(twin, Event) else [event]
        known[event.token] = min(both, key=lambda each: _STATES.index(each.state))
    return known


def entries_in(runs: list[Run]) -> list[tuple[int, Event | None]]:
    """Return the events that consecutive runs contain, each once, with their numbers; None for a damaged one."""
    entries = [(each.number, each) if isinstance(each, Event) else (each, None) for each in once(runs).values()]
    # The first that was recorded with a number has counted those before it.
    number = next((recorded - 1 - place for place, (recorded, _) in enumerate(entries) if recorded), 0)
    numbered: list[tuple[int, Event | None]] = []
    for recorded, event in entries:
        number = recorded or max(number + 1, 1)
        numbered.append((number, replace(event, number=number) if event is not None else None))
    return numbered


def events_of(entries: list[tuple[int, Event | None]]) -> list[Event]:
    """Return the events of numbered entries, without the damaged ones."""
    return [event for _, event in entries if event is not None]


_EVENT = TypeAdapter(Event)
