"""Promotion: from a candidate to a decision, and from a decision to the slot.

Everything that can fail comes before the one call that swaps; everything after it can be repeated. So at every instant
Production is held by a model that has been loaded and has answered, and a run that is killed leaves nothing that the
next one cannot finish or drop.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from workshop.core.data import datasets, tables
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.errors import WorkshopError
from workshop.core.parameters import Parameters, Terms, require_as_given
from workshop.core.promotion import drift, gate, guards, slices
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.history import Event, History
from workshop.core.promotion.outcome import MEANINGS, Guard, Outcome, Status, sentence_for, status_for
from workshop.core.promotion.plots import illustrate
from workshop.core.promotion.swap import Trial, Turn, describe, swap, turn
from workshop.core.registry.model import LoadedModel, find_candidate, load_version, require_probabilities
from workshop.core.registry.slots import Slot, Slots, open_slots

_MOST_COMPARISONS = 5
_DECISIVE = ("run_name", "model_name", "devops_action", "compare_only")
"""The parameters that choose candidate, rows and slot: no slot moves unless they are the run's."""


@dataclass(frozen=True)
class Contest:
    """What is to be decided: this candidate, on these rows, for this slot."""

    slots: Slots
    candidate: str
    """The version."""
    rows: Snapshot
    slot: Slot
    terms: Terms
    run_name: str = ""
    compare_only: bool = False
    """Leave every slot as it is, whatever comes of it."""
    trained_on: pd.DataFrame | None = None
    """The wines that drift is measured from, where they are known."""


def open_contest(client: MlflowClient, parameters: Parameters) -> Contest:
    """Find this run's candidate, and choose the rows as the action says.

    Raises:
        WorkshopError: there is no candidate, a table is missing, or a parameter is not the one that the run gave.
    """
    require_as_given(parameters, *_DECISIVE)
    slots = open_slots(client, parameters.model_name)
    action, run_name = parameters.devops_action, parameters.run_name
    rows = datasets.production_wines() if action.compares_on == "production" else datasets.test_wines(run_name)
    candidate = str(find_candidate(client, parameters.model_name, parameters.run_name).version)
    prepared = tables.prepared_table(parameters.run_name).exists()
    trained_on = datasets.split_prepared(datasets.load_prepared(parameters.run_name).frame).train if prepared else None
    return Contest(
        slots=slots,
        candidate=candidate,
        rows=rows,
        slot=Slot(action.slot),
        terms=parameters.terms,
        run_name=parameters.run_name,
        compare_only=parameters.compare_only,
        trained_on=trained_on,
    )


def judge(contest: Contest) -> Judgement:
    """Try the candidate, and compare it with whatever holds Production now, on the contest's rows.

    Raises:
        WorkshopError: the model in Production does not answer, so that there is nothing to compare with.
    """
    champion_version = contest.slots.holder(Slot.PRODUCTION)
    judgement = compare(contest, champion_version, _look(contest))
    if judgement.candidate is None:
        return judgement
    wines, decision = contest.rows.frame, judgement.decision
    notes = [*decision.notes]
    if contest.slot is Slot.PRODUCTION:
        notes += _notes_on_staged(contest, champion_version, judgement.candidate)
    drifted = {}
    if contest.trained_on is not None:
        drifted = drift.population_stability(contest.trained_on, wines, FEATURES)
    return replace(judgement, decision=replace(decision, notes=notes), drift=drifted)


def compare(contest: Contest, champion_version: str | None, look: int) -> Judgement:
    """Decide about the candidate against a version that need not hold Production any more: so it can be repeated."""
    champion = load_champion(contest.slots, champion_version)
    wines, fitting = contest.rows.frame, guards.fits_schema(contest.rows)
    checked, ours = [fitting], None
    if fitting.passed:
        wines = datasets.prepare(wines)
        tried, ours = _try(contest, champion, wines)
        checked += tried
    target = wines[TARGET].to_numpy() if fitting.passed else np.zeros(len(wines), dtype="int64")
    theirs = None
    if champion is not None and ours is not None:
        theirs = champion.probabilities(wines)
        require_probabilities(theirs, len(wines), f"model in Production, version {champion.version},")
    parts = slices.masks(wines) if ours is not None else {}
    decision = gate.decide(target, ours, theirs, contest.terms, parts, checked=checked, look=look)
    return Judgement(decision, champion_version, target, ours, theirs)


def act(contest: Contest, judgement: Judgement) -> Outcome:
    """Give the slot to the candidate if the decision says so and the contest is not one that only compares; record it.

    If another run has taken Production since the comparison, that decision was about another champion: the candidate
    is compared again, with the new one.

    Raises:
        WorkshopError: another run keeps the slots for too long, or the registry refuses; the slot is as it was, or the
            swap is whole and the next run completes its record. Or the candidate did not answer through the slot, and
            the champion holds Production again.
    """
    with turn(contest.slots) as mine:
        before = contest.slots.holders()
        judgement = _about_the_present_champion(contest, judgement)
        status, event = _carry_out(contest, judgement, mine)
        after = contest.slots.holders()
    if event is not None:
        illustrate(mine.history, event, judgement)
    return Outcome(
        status=status,
        sentence=sentence_for(status, contest.candidate, judgement.champion_version, contest.slot, judgement.decision),
        model_name=contest.slots.model_name,
        candidate_version=contest.candidate,
        champion_version=judgement.champion_version,
        rows=contest.rows.label,
        slots_before=before,
        slots_after=after,
        decision=judgement.decision,
        drift=judgement.drift,
    )


def load_champion(slots: Slots, version: str | None) -> LoadedModel | None:
    """Load the version that holds Production, if any does.

    Raises:
        WorkshopError: it can't be loaded.
    """
    if version is None:
        return None
    try:
        return load_version(slots.client, slots.model_name, version)
    except WorkshopError as error:
        raise WorkshopError(
            f"The model in Production can't be compared with ({str(error).rstrip('.')}): restore it, or give "
            "Production to another version with `workshop rollback --to VERSION`."
        ) from error


def _try(contest: Contest, champion: LoadedModel | None, wines: pd.DataFrame) -> tuple[list[Guard], np.ndarray | None]:
    """The guards that protect callers, one after the other until one fails, and the candidate's answers."""
    loadable, candidate = guards.loads(contest.slots.client, contest.slots.model_name, contest.candidate)
    if candidate is None:
        return [loadable], None
    fitting = guards.same_inputs(candidate, champion)
    if not fitting.passed:
        return [loadable, fitting], None
    proper, answers = guards.answers_properly(candidate, wines)
    return [loadable, fitting, proper], answers


def _notes_on_staged(contest: Contest, champion_version: str | None, answers: np.ndarray) -> list[str]:
    """Return a note on whether the candidate reproduces the version in Staging; empty if Staging holds no other one.

    Args:
        contest: its rows are those that `answers` belong to.
        champion_version: the version in Production, if any.
        answers: the candidate's probabilities, shape `(rows,)`.
    """
    slots, wines = contest.slots, contest.rows.frame
    staged = slots.holder(Slot.STAGING)
    if staged is None or staged in (contest.candidate, champion_version):
        return []
    try:
        staged_answers = load_version(slots.client, slots.model_name, staged).probabilities(wines)
        require_probabilities(staged_answers, len(wines), f"model in Staging, version {staged},")
    except WorkshopError as error:
        return [f"The candidate can't be compared with version {staged}, which an Integration run has staged: {error}"]
    different = int((staged_answers != answers).sum())
    if not different:
        return [
            f"It reproduces version {staged}, which an Integration run has staged: the same answers to all "
            f"{len(wines):,} wines."
        ]
    return [
        f"It is another model than version {staged}, which an Integration run has staged: {different:,} of "
        f"{len(wines):,} answers differ, by up to {np.abs(staged_answers - answers).max():.3f}. This candidate has not "
        "passed Integration."
    ]


def _about_the_present_champion(contest: Contest, judgement: Judgement) -> Judgement:
    """The judgement, made again for as long as others have changed what it was made about: champion, or looks."""
    for _ in range(_MOST_COMPARISONS):
        now, look = contest.slots.holder(Slot.PRODUCTION), _look(contest)
        note = ""
        if now != judgement.champion_version:
            note = (
                f"Production changed hands, from {_called(judgement.champion_version)} to {_called(now)}, after the "
                "candidate had been compared, so it was compared again."
            )
        elif look == judgement.decision.looks.number:
            return judgement
        judgement = judge(contest)
        decision = judgement.decision
        judgement = replace(judgement, decision=replace(decision, notes=[*decision.notes, *([note] if note else [])]))
    raise WorkshopError(
        f"Production has changed hands {_MOST_COMPARISONS} times while the candidate was being compared: "
        "find out what else promotes models of this name, then run again."
    )


def _look(contest: Contest) -> int:
    """How many comparisons on these production wines there are with this one; test wines are not counted."""
    if contest.slot is not Slot.PRODUCTION:
        return 1
    return 1 + History(contest.slots.client, contest.slots.model_name).looks_at(contest.rows.digest)


def _carry_out(contest: Contest, judgement: Judgement, mine: Turn) -> tuple[Status, Event | None]:
    version, decision = contest.candidate, judgement.decision
    if version in (judgement.champion_version, contest.slots.holder(contest.slot)):
        return "unchanged", None
    status = status_for(decision.verdict, contest.slot, compare_only=contest.compare_only)
    event = _event(status, contest, judgement)
    if status == "promoted":
        return status, swap(mine, event, Trial(contest.rows.frame, np.asarray(judgement.candidate)))
    if status == "staged":
        return status, _stage(contest, event, mine)
    event = mine.history.append(event)
    describe(contest.slots, version, event, status)
    return status, event


def _stage(contest: Contest, event: Event, mine: Turn) -> Event:
    event = mine.history.append(replace(event, state="intended"))
    mine.lease.renew()
    contest.slots.assign(Slot.STAGING, contest.candidate)
    describe(contest.slots, contest.candidate, event, "staged")
    return mine.history.conclude(event, "done")


def _event(status: Status, contest: Contest, judgement: Judgement) -> Event:
    kind = MEANINGS[status].event
    if kind is None:
        raise ValueError(f"the status {status} has no event")
    return Event(
        kind=kind,
        version=contest.candidate,
        champion=judgement.champion_version,
        reason=judgement.decision.reason,
        rows=contest.rows.label,
        rows_digest=contest.rows.digest,
        run_name=contest.run_name,
        terms=contest.terms.model_dump(),
        decision=judgement.decision.as_dict(),
    )


def _called(version: str | None) -> str:
    return f"version {version}" if version else "nobody"
