"""The history of a registered model: every promotion, rejection, rollback and override, with its author and reason.

Each event is a run of the MLflow experiment `<model>/history`, created by one call; only its state changes later. A
swap is recorded as intended before it happens, so that the next run after a crash finds it.

Events are in the order of recording, since the clocks of machines disagree: the start time of an event's run is later
than that of every event before it. The event itself contains the recording machine's time.

Each event's run is tagged with its number, so that the newest events are read without those before them. Events of an
earlier kit have no such tag: their numbers are counted, once all of them and then from the first event with a number.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.entities.run_tag import RunTag

from workshop.core.promotion.event import (
    LONGEST_TAG,
    LOOK_TAG,
    NUMBER_TAG,
    PROBLEM_TAG,
    RECORD_TAG,
    ROWS_TAG,
    STATE_TAG,
    TEST_TAG,
    Event,
    State,
    entries_in,
    event_in,
    events_of,
    number_of,
    once,
    tags_of,
)
from workshop.core.registry.mlflow_store import ensure_experiment, experiment_name, explained

_FEW = 5
"""Events to read at a time where the newest is mostly enough."""
_START = "attributes.start_time"
_RUNS_A_PAGE = 1000


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
            tags = tags_of(event, number + 1)
            start = max(shown, latest + 1)
            run = self.client.create_run(experiment_id, start_time=start, tags=tags, run_name=event.title)
            event = replace(event, id=run.info.run_id, number=number + 1)
            if event.state != "intended":
                self.client.set_terminated(event.id)
        return event

    def conclude(self, event: Event, state: State, problem: str = "") -> Event:
        """Record the final state of an intended swap."""
        with explained(f"record the {event.kind} of version {event.version}"):
            tags = [RunTag(STATE_TAG, state), *([RunTag(PROBLEM_TAG, problem[:LONGEST_TAG])] if problem else [])]
            self.client.log_batch(event.id, tags=tags)
            self.client.set_terminated(event.id, "FINISHED" if state == "done" else "FAILED")
        return replace(event, state=state, problem=problem)

    def pending(self) -> list[Event]:
        """Return the swaps that are recorded as intended only, oldest first."""
        return [event for run in self._runs(f"tags.`{STATE_TAG}` = 'intended'") if (event := event_in(run)) is not None]

    def events(self) -> list[Event]:
        """Return all events, oldest first, each once and with its number."""
        return events_of(entries_in(self._runs("")))

    def newest(self, most: int) -> list[Event]:
        """Return the newest events, oldest first, each once and with its number, without reading the others."""
        # One more, since an event that was recorded twice has two runs.
        runs = self._runs("", most + 1)[::-1]
        counted = len(runs) <= most or any(number_of(run) for run in runs)
        return events_of(entries_in(runs))[-most:] if counted else self.events()[-most:]

    def event(self, number: int) -> Event | None:
        """Return the event of that number, or None."""
        found = events_of(entries_in(self._runs(f"tags.`{NUMBER_TAG}` = '{number}'"))) or self.events()
        return next((event for event in found if event.number == number), None)

    def compared_on(self, rows_digest: str) -> list[Event]:
        """Return the comparisons on those rows, oldest first, each once; the registry chooses them.

        The numbers of events of an earlier kit are not counted here.
        """
        found = once(self._runs(f"tags.`{ROWS_TAG}` = '{rows_digest}'")).values()
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
            yield from filter(None, map(event_in, page))
            token = page.token
            if not token:
                break

    def suspect(self, event: Event, problem: str) -> None:
        """Record why an intended swap is about to be undone."""
        with explained(f"record the {event.kind} of version {event.version}"):
            self.client.set_tag(event.id, PROBLEM_TAG, problem[:LONGEST_TAG])

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
        number = number_of(latest[0])
        if not number:  # an event of an earlier kit, or no event
            number = max((each for each, _ in entries_in(self._runs(""))), default=0)
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
