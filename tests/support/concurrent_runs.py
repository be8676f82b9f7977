"""Runs in separate processes that compete for the same slots, or are killed."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # before it is forked
import sqlalchemy.orm

from tests.support.faulty_registry import FailingClient
from workshop.core.data.delta_table import Snapshot
from workshop.core.parameters import Terms
from workshop.core.promotion import evaluate
from workshop.core.promotion.evaluate import Contest, act, judge
from workshop.core.promotion.gate import Judgement
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, Slots, open_slots

_FORK: Any = multiprocessing.get_context("fork")
PATIENCE = 120
"""Time-out in seconds for a process that has little to do."""


@dataclass(frozen=True)
class Entry:
    """A candidate, its rows and terms, in a form that can be sent to another process."""

    model_name: str
    candidate: str
    rows: Snapshot
    terms: Terms

    def contest(self, slots: Slots) -> Contest:
        """Return the contest for Production in this process."""
        return Contest(slots, self.candidate, self.rows, Slot.PRODUCTION, self.terms)


@dataclass(frozen=True)
class Report:
    """The outcome of a run in one round."""

    status: str
    sentence: str
    notes: list[str]


class ForkServer:
    """A process with all imports done, which forks others at once."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._orders, remote = context.Pipe()
        self._process = context.Process(target=_take_orders, args=(remote,))
        self._process.start()

    def close(self) -> None:
        """End the process."""
        self._orders.send(None)
        self._process.join(PATIENCE)

    def killed_at(self, call: int, environment: Mapping[str, str], entry: Entry, judgement: Judgement) -> bool:
        """Promote the entry in a process that is killed at its `call`th call; return whether that call was reached."""
        killed: bool = self._ask(_killed_at, call, dict(environment), entry, judgement)
        return killed

    def raced(
        self, environments: Sequence[Mapping[str, str]], entries: Sequence[Sequence[Entry]]
    ) -> list[list[Report]]:
        """Let runs compare and promote at the same time, round after round.

        Args:
            environments: of each run; another home simulates another machine.
            entries: for each run, its entry in each round.

        Returns:
            For each run, its report of each round.
        """
        reports: list[list[Report]] = self._ask(
            _raced, [dict(each) for each in environments], [list(each) for each in entries]
        )
        return reports

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._orders.send((function, arguments))
        assert self._orders.poll(2 * PATIENCE), "there is no answer"
        answer = self._orders.recv()
        if isinstance(answer, AssertionError):
            raise answer
        return answer


def _take_orders(orders: Any) -> None:
    sqlalchemy.orm.configure_mappers()
    while (order := orders.recv()) is not None:
        function, arguments = order
        try:
            orders.send(function(*arguments))
        except AssertionError as error:
            orders.send(error)


def _killed_at(call: int, environment: dict[str, str], entry: Entry, judgement: Judgement) -> bool:
    process = _FORK.Process(target=_promote_and_die, args=(environment, call, entry, judgement))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -9), f"the process ended with {process.exitcode}"
    return bool(process.exitcode == -9)


def _raced(environments: list[dict[str, str]], entries: list[list[Entry]]) -> list[list[Report]]:
    barrier, answers = _FORK.Barrier(len(entries)), [_FORK.Pipe(duplex=False) for _ in entries]
    runs = [
        _FORK.Process(target=_race, args=(environment, own, barrier, sender))
        for environment, own, (_, sender) in zip(environments, entries, answers, strict=True)
    ]
    for run in runs:
        run.start()
    reports = []
    for receiver, _ in answers:
        assert receiver.poll(PATIENCE), "a run does not come to an end"
        reports.append(receiver.recv())
    for run in runs:
        run.join(PATIENCE)
        assert run.exitcode == 0
    return reports


def _connected(environment: dict[str, str]) -> Callable[[str], Slots]:
    os.environ.clear()
    os.environ.update(environment)
    evaluate.illustrate = lambda *_: None  # type: ignore[attr-defined]  # drawing would take longer than the rest
    client = mlflow_store.connect()
    return lambda model_name: open_slots(client, model_name)


def _promote_and_die(environment: dict[str, str], call: int, entry: Entry, judgement: Judgement) -> None:
    slots = _connected(environment)(entry.model_name)
    fragile: Any = FailingClient(slots.client, call, "kill -9")
    act(replace(entry.contest(slots), slots=type(slots)(fragile, entry.model_name)), judgement)


def _race(environment: dict[str, str], entries: list[Entry], barrier: Any, answer: Any) -> None:
    slots_of = _connected(environment)
    reports = []
    for entry in entries:
        contest = entry.contest(slots_of(entry.model_name))
        judgement = judge(contest)
        barrier.wait(PATIENCE)  # both have judged before either acts
        outcome = act(contest, judgement)
        reports.append(Report(outcome.status, outcome.sentence, outcome.decision.notes))
    answer.send(reports)
