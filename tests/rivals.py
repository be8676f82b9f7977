"""Runs in processes of their own that want the same slots, or die on the way to them."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.core.fragile import Fragile
from workshop.core import promotion, store
from workshop.core.gate import Terms
from workshop.core.promotion import Contest, Judgement, act, judge
from workshop.core.slots import Slot, Slots, open_slots
from workshop.core.tables import Snapshot

PATIENCE = 120
"""Seconds for a process that has next to nothing to do; only a broken one needs them."""


@dataclass(frozen=True)
class Entry:
    """A candidate, and what it is judged on, without anything that ties it to one process."""

    model_name: str
    candidate: str
    rows: Snapshot
    terms: Terms

    def contest(self, slots: Slots) -> Contest:
        """The contest, for Production, as this process sees it."""
        return Contest(slots, self.candidate, self.rows, Slot.PRODUCTION, self.terms)


@dataclass(frozen=True)
class Report:
    """What a run said of itself in one round."""

    status: str
    sentence: str
    notes: list[str]


def killed_at(call: int, environment: Mapping[str, str], entry: Entry, judgement: Judgement) -> bool:
    """Promote the entry in a process that is killed at its `call`th call; whether it came to that."""
    process = _context().Process(target=_promote_and_die, args=(dict(environment), call, entry, judgement))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -9), f"the process ended with {process.exitcode}"
    return bool(process.exitcode == -9)


def raced(environments: Sequence[Mapping[str, str]], entries: Sequence[Sequence[Entry]]) -> list[list[Report]]:
    """Let runs compare and promote at the same time, round after round.

    Args:
        environments: of each run; a home of its own makes it another machine.
        entries: for each run, what it enters in each round.

    Returns:
        For each run, what it reported of each round.
    """
    context = _context()
    barrier, answers = context.Barrier(len(entries)), [context.Pipe(duplex=False) for _ in entries]
    runs = [
        context.Process(target=_race, args=(dict(environment), list(own), barrier, sender))
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


def _context() -> Any:
    """Processes that are forked from one with the imports done, and so are there at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _connected(environment: dict[str, str]) -> Callable[[str], Slots]:
    os.environ.clear()
    os.environ.update(environment)
    promotion.illustrate = lambda *_: None  # type: ignore[attr-defined]  # drawing takes longer than all the rest
    client = store.connect()
    return lambda model_name: open_slots(client, model_name)


def _promote_and_die(environment: dict[str, str], call: int, entry: Entry, judgement: Judgement) -> None:
    slots = _connected(environment)(entry.model_name)
    fragile: Any = Fragile(slots.client, call, "kill -9")
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
