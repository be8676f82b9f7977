"""Promotion: from a candidate to a decision, and from a decision to the slot.

Every step that can fail comes before the one call that swaps; every step after it can be repeated. So at every instant
Production is held by a model that has been loaded and has answered, and the next run can finish or drop whatever a
killed run has left.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from workshop.core.data import datasets, tables
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.schemas import FEATURES, PART, TARGET
from workshop.core.errors import WorkshopError
from workshop.core.parameters import DevopsAction, Parameters, Terms, require_as_given
from workshop.core.promotion import drift, gate, guards, slices
from workshop.core.promotion.event import Event
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.history import History
from workshop.core.promotion.looks import ALONE, Look
from workshop.core.promotion.next_look import is_current, next_look
from workshop.core.promotion.outcome import MEANINGS, Guard, Outcome, Status, sentence_for, status_for
from workshop.core.promotion.plots import illustrate
from workshop.core.promotion.swap import Trial, Turn, describe, swap, turn
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import LoadedModel, find_candidate, load_version, require_probabilities
from workshop.core.registry.slots import Slot, Slots, open_slots
from workshop.core.settings import current_settings

_MOST_COMPARISONS = 5
_DECISIVE = ("run_name", "model_name", "devops_action", "compare_only")
"""The parameters that choose candidate, rows and slot: no slot moves unless they are the run's."""


@dataclass(frozen=True)
class Contest:
    """A comparison to make: of this candidate, on these rows, for this slot."""

    slots: Slots
    candidate: str
    """The version."""
    rows: Snapshot
    slot: Slot
    terms: Terms
    run_name: str = ""
    compare_only: bool = False
    """Leave every slot as it is, whatever the decision."""
    trained_on: pd.DataFrame | None = None
    """The reference wines for the drift, if known."""


def open_contest(client: MlflowClient, parameters: Parameters) -> Contest:
    """Find this run's candidate, and choose the rows that the action compares on.

    Raises:
        WorkshopError: the candidate or a table is missing, or a parameter differs from the one that the run gave.
    """
    require_as_given(parameters, *_DECISIVE)
    slots = open_slots(client, parameters.model_name)
    action, run_name = _action(parameters.devops_action, slots), parameters.run_name
    rows = datasets.production_wines() if action.compares_on == "production" else datasets.test_wines(run_name)
    candidate = str(find_candidate(client, parameters.model_name, run_name).version)
    prepared = tables.prepared_table(run_name).exists()
    trained_on = datasets.split_prepared(datasets.load_prepared(run_name).frame).train if prepared else None
    return Contest(
        slots=slots,
        candidate=candidate,
        rows=rows,
        slot=Slot(action.slot),
        terms=parameters.terms,
        run_name=run_name,
        compare_only=parameters.compare_only,
        trained_on=trained_on,
    )


def judge(contest: Contest) -> Judgement:
    """Test the candidate, and compare it with the present holder of Production on the contest's rows.

    Raises:
        WorkshopError: the model in Production does not answer.
    """
    champion_version = contest.slots.holder(Slot.PRODUCTION)
    judgement = compare(contest, champion_version, partial(_look, contest, champion_version))
    if judgement.candidate is None:
        return judgement
    wines, decision = contest.rows.frame, judgement.decision
    notes = [*decision.notes]
    if contest.slot is Slot.PRODUCTION:
        notes += _notes_on_staged(contest, champion_version, judgement.candidate)
    shift = {}
    if contest.trained_on is not None:
        if PART in contest.trained_on:
            notes.append(f"The candidate was trained on a sample, {len(contest.trained_on):,} wines.")
        shift = drift.population_stability(contest.trained_on, wines, FEATURES)
    return replace(judgement, decision=replace(decision, notes=notes), drift=shift)


def compare(
    contest: Contest, champion_version: str | None, find_look: Callable[[pd.DataFrame, np.ndarray], Look]
) -> Judgement:
    """Decide about the candidate against any version, so that a past comparison can be repeated.

    Args:
        contest: the candidate, the rows and the terms.
        champion_version: the version to compare with, if any.
        find_look: called with the wines and the candidate's answers, once there is a comparison to make.
    """
    champion = load_champion(contest.slots, champion_version)
    wines, schema_guard = contest.rows.frame, guards.fits_schema(contest.rows)
    checked, candidate = [schema_guard], None
    if schema_guard.passed:
        wines = datasets.prepare(wines)
        tested, candidate = _test(contest, champion, wines)
        checked += tested
    target = wines[TARGET].to_numpy() if schema_guard.passed else np.zeros(len(wines), dtype="int64")
    answers, look = None, ALONE
    if champion is not None and candidate is not None:
        answers = champion.probabilities(wines)
        require_probabilities(answers, len(wines), f"model in Production, version {champion.version},")
        look = find_look(wines, candidate)
    parts = slices.masks(wines) if candidate is not None else {}
    decision = gate.decide(target, candidate, answers, contest.terms, parts, checked=checked, look=look)
    return Judgement(decision, champion_version, target, candidate, answers, look)


def act(contest: Contest, judgement: Judgement) -> Outcome:
    """Give the slot to the candidate if it passed and the contest is not `compare_only`; record the outcome.

    If another run has changed Production since the comparison, the candidate is compared again, with the new champion.

    Raises:
        WorkshopError: another run keeps the slots for too long; the registry refuses (the slot is unchanged, or the
            swap is complete and the next run completes its record); or the candidate answered differently through
            the slot (the champion holds Production again).
    """
    with turn(contest.slots) as session:
        before = contest.slots.holders()
        judgement = _with_present_champion(contest, judgement)
        status, event = _carry_out(contest, judgement, session, before[contest.slot])
        after = contest.slots.holders()
    if event is not None:
        illustrate(session.history, event, judgement)
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
    """Load the version in Production, if there is one.

    Raises:
        WorkshopError: it can't be loaded.
    """
    if version is None:
        return None
    try:
        return load_version(slots.client, slots.model_name, version)
    except WorkshopError as error:
        raise WorkshopError(
            f"The model in Production can't be loaded to compare with ({str(error).rstrip('.')}): restore it, or give "
            "Production to another version with `workshop rollback --to VERSION`."
        ) from error


def _action(given: DevopsAction, slots: Slots) -> DevopsAction:
    """Return the action; a person in Jupyter deploys the first model of a store on this machine, as the baseline.

    Without a model in Production, nothing is ever compared. In a registry that others use too, only a run deploys.
    """
    if given is not DevopsAction.UNKNOWN or slots.holder(Slot.PRODUCTION) is not None:
        return given
    return DevopsAction.DEPLOYMENT if mlflow_store.is_embedded(current_settings()) else given


def _test(contest: Contest, champion: LoadedModel | None, wines: pd.DataFrame) -> tuple[list[Guard], np.ndarray | None]:
    """Run the guards that protect callers until one fails, and return the candidate's answers too."""
    loadable, candidate = guards.loads(contest.slots.client, contest.slots.model_name, contest.candidate)
    if candidate is None:
        return [loadable], None
    fitting = guards.same_inputs(candidate, champion)
    if fitting.failed:
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
        return [f"The candidate can't be compared with version {staged}, which holds Staging: {error}"]
    different = int((staged_answers != answers).sum())
    if not different:
        return [f"It gives the same answers to all {len(wines):,} wines as version {staged}, which holds Staging."]
    return [
        f"It is another model than version {staged}, which holds Staging: {different:,} of {len(wines):,} answers "
        f"differ, by up to {np.abs(staged_answers - answers).max():.3f}. This candidate has not passed Integration."
    ]


def _with_present_champion(contest: Contest, judgement: Judgement) -> Judgement:
    """Return the judgement; repeat it while other runs change the champion or look at the same wines."""
    for _ in range(_MOST_COMPARISONS):
        now = contest.slots.holder(Slot.PRODUCTION)
        note = ""
        if now != judgement.champion_version:
            note = (
                f"Production changed from version {judgement.champion_version or 'none'} to {now or 'none'} after the "
                "comparison, so the candidate was compared again."
            )
        elif is_current(judgement.look, _history(contest)):
            return judgement
        judgement = judge(contest)
        decision = judgement.decision
        judgement = replace(judgement, decision=replace(decision, notes=[*decision.notes, *([note] if note else [])]))
    raise WorkshopError(
        f"Production has changed {_MOST_COMPARISONS} times while the candidate was being compared: find out what else "
        "promotes models of this name, then run again."
    )


def _look(contest: Contest, champion: str | None, wines: pd.DataFrame, answers: np.ndarray) -> Look:
    """Return the look of a comparison; on test wines, which decide about no model in Production, none is counted."""
    on_production = contest.slot is Slot.PRODUCTION
    return next_look(_history(contest), contest.rows.digest, champion, wines, answers) if on_production else ALONE


def _history(contest: Contest) -> History:
    return History(contest.slots.client, contest.slots.model_name)


def _carry_out(
    contest: Contest, judgement: Judgement, session: Turn, holder: str | None
) -> tuple[Status, Event | None]:
    version, decision = contest.candidate, judgement.decision
    if version in (judgement.champion_version, holder):
        return "unchanged", None
    status = status_for(decision.verdict, contest.slot, compare_only=contest.compare_only)
    event = _event(status, contest, judgement)
    if status == "promoted":
        return status, swap(session, event, Trial(contest.rows.frame, np.asarray(judgement.candidate)))
    if status == "staged":
        return status, _stage(contest, event, session)
    event = session.history.append(event)
    describe(contest.slots, version, event, status)
    return status, event


def _stage(contest: Contest, event: Event, session: Turn) -> Event:
    event = session.history.append(replace(event, state="intended"))
    session.lease.renew()
    contest.slots.assign(Slot.STAGING, contest.candidate)
    describe(contest.slots, contest.candidate, event, "staged")
    return session.history.conclude(event, "done")


def _event(status: Status, contest: Contest, judgement: Judgement) -> Event:
    kind = "comparison" if contest.compare_only else MEANINGS[status].event
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
        look=judgement.look.as_dict() if judgement.look.wealth is not None else None,
    )
