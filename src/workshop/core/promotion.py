"""Promotion: from a candidate to a decision, and from a decision to the slot.

Everything that can fail comes before the one call that swaps; everything after it can be repeated. So at every instant
Production is held by a model that has been loaded and has answered, and a run that is killed leaves nothing that the
next one cannot finish or drop.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient

from workshop.core import data, gate, tables
from workshop.core.errors import WorkshopError
from workshop.core.model import LoadedModel, find_candidate, load_version
from workshop.core.outcome import Outcome, Status
from workshop.core.parameters import DevopsAction, Parameters
from workshop.core.schemas import TARGET
from workshop.core.settings import current_settings
from workshop.core.slots import Slot, Slots, open_slots
from workshop.core.tables import Snapshot

DECISION_TAG = "workshop.decision"
STATUS_TAG = "workshop.status"
_SECONDS_FOR_ANOTHER_SWAP = 60
_MOST_COMPARISONS = 5


@dataclass(frozen=True)
class Contest:
    """What is to be decided: this candidate, on these rows, for this slot."""

    slots: Slots
    candidate: LoadedModel
    rows: Snapshot
    slot: Slot
    confidence: float
    min_improvement: float


@dataclass(frozen=True)
class Judgement:
    """A decision with what it was made from, for whoever wants to draw or repeat it."""

    decision: gate.Decision
    champion_version: str | None
    target: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray | None


def open_contest(client: MlflowClient, parameters: Parameters) -> Contest:
    """Find this run's candidate, load it, and choose the rows as the action says.

    Deployment compares on the production table and is about Production; Integration, or a person in Jupyter, compares
    on the test wines and is about Staging.

    Raises:
        WorkshopError: there is no candidate, it can't be loaded, or a table is missing.
    """
    slots = open_slots(client, parameters.model_name)
    if parameters.devops_action is DevopsAction.DEPLOYMENT:
        slot, snapshot = Slot.PRODUCTION, data.load_wines(tables.production_table())
        rows = replace(snapshot, frame=data.prepare(snapshot.frame))
    else:
        slot, snapshot = Slot.STAGING, data.load_prepared(parameters.run_name)
        rows = replace(snapshot, frame=data.split_prepared(snapshot.frame).test)
    found = find_candidate(client, parameters.model_name, parameters.run_name)
    candidate = load_version(client, parameters.model_name, str(found.version))
    return Contest(slots, candidate, rows, slot, parameters.confidence, parameters.min_improvement)


def judge(contest: Contest) -> Judgement:
    """Compare the candidate with whatever holds Production now, on the contest's rows.

    Raises:
        WorkshopError: the candidate's columns differ from the champion's, or a model does not answer.
    """
    wines = contest.rows.frame
    champion_version = contest.slots.holder(Slot.PRODUCTION)
    champion = None
    if champion_version is not None:
        loaded = load_version(contest.slots.client, contest.slots.model_name, champion_version)
        _require_same_inputs(contest.candidate, loaded)
        champion = loaded.probabilities(wines)
    candidate = contest.candidate.probabilities(wines)
    target = wines[TARGET].to_numpy()
    decision = gate.decide(target, candidate, champion, contest.confidence, contest.min_improvement)
    return Judgement(decision, champion_version, target, candidate, champion)


def act(contest: Contest, judgement: Judgement) -> Outcome:
    """Give the slot to the candidate if the decision says so, and record what was done.

    If another run has taken Production since the comparison, that decision was about another champion: the candidate
    is compared again, with the new one.

    Raises:
        WorkshopError: another run holds the lock for too long, or the registry refuses; the slot is as it was, or the
            swap is whole and the next run completes its record.
    """
    slots, lock_name = contest.slots, f"slots-{contest.slots.model_name}"
    try:
        with FileLock(current_settings().lock_file(lock_name), timeout=_SECONDS_FOR_ANOTHER_SWAP):
            finish_or_drop(slots)
            before = slots.holders()
            judgement = _about_the_present_champion(contest, judgement)
            status = _carry_out(contest, judgement)
            after = slots.holders()
    except Timeout as error:
        raise WorkshopError(
            f"Another run has been changing the slots of {slots.model_name} for over {_SECONDS_FOR_ANOTHER_SWAP} "
            "seconds: wait for it to end, then run again."
        ) from error
    return Outcome(
        status=status,
        sentence=_sentence(status, contest, judgement),
        model_name=slots.model_name,
        candidate_version=contest.candidate.version,
        champion_version=judgement.champion_version,
        rows=contest.rows.label,
        slots_before=before,
        slots_after=after,
        decision=judgement.decision,
    )


def finish_or_drop(slots: Slots) -> None:
    """Bring a swap that a crash has interrupted to its end: finish it if the slot has moved, else forget it."""
    intention = slots.intention()
    if intention is None:
        return
    if slots.holder(Slot.PRODUCTION) == intention["to"]:
        _after_the_swap(slots, intention)
    slots.clear_intention()


def _about_the_present_champion(contest: Contest, judgement: Judgement) -> Judgement:
    """The judgement, made again for as long as Production has changed hands since it was made."""
    for _ in range(_MOST_COMPARISONS):
        if contest.slots.holder(Slot.PRODUCTION) == judgement.champion_version:
            return judgement
        judgement = judge(contest)
    raise WorkshopError(
        f"Production has changed hands {_MOST_COMPARISONS} times while the candidate was being compared: "
        "find out what else promotes models of this name, then run again."
    )


def _carry_out(contest: Contest, judgement: Judgement) -> Status:
    slots, version = contest.slots, contest.candidate.version
    if version in (judgement.champion_version, slots.holder(contest.slot)):
        return "unchanged"
    reason = judgement.decision.reason
    if not judgement.decision.passed:
        _record(slots, version, "not better", reason)
        return "not better"
    if contest.slot is Slot.STAGING:
        slots.assign(Slot.STAGING, version)
        _record(slots, version, "staged", reason)
        return "staged"
    intention = {
        "from": judgement.champion_version,
        "to": version,
        "reason": reason,
        "run_id": current_settings().run_id,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    slots.record_intention(intention)
    slots.assign(Slot.PRODUCTION, version)
    _after_the_swap(slots, intention)
    slots.clear_intention()
    return "promoted"


def _record(slots: Slots, version: str, status: Status, reason: str) -> None:
    """Say on the version itself, where the team looks, what was decided about it."""
    slots.tag(version, {STATUS_TAG: status, DECISION_TAG: reason})


def _after_the_swap(slots: Slots, intention: dict[str, Any]) -> None:
    """What follows the one call that counts; each step can be repeated.

    Another machine, which our lock does not reach, may have promoted a version between our last look and our call. It
    is not in Production any more, so it is archived with the champion that we knew of.
    """
    old, new = intention["from"], intention["to"]
    if old is not None and slots.exists(old):
        slots.assign(Slot.PREVIOUS, old)
        slots.archive(old)
    for overtaken in set(slots.versions_tagged(STATUS_TAG, "promoted")) - {new, *slots.archived()}:
        slots.archive(overtaken)
    _record(slots, new, "promoted", intention.get("reason", ""))


def _require_same_inputs(candidate: LoadedModel, champion: LoadedModel) -> None:
    if candidate.signature is None:
        raise WorkshopError(
            f"The candidate, version {candidate.version}, does not say which columns it takes, so no caller could rely "
            "on it: log it with a signature."
        )
    if champion.signature is not None and candidate.signature.inputs != champion.signature.inputs:
        raise WorkshopError(
            f"The candidate, version {candidate.version}, takes other input columns or types than version "
            f"{champion.version} in Production, so every caller would break: train it on "
            f"{', '.join(f'{column.name} ({column.type.name})' for column in champion.signature.inputs)}."
        )


def _sentence(status: Status, contest: Contest, judgement: Judgement) -> str:
    candidate, champion = contest.candidate.version, judgement.champion_version
    match status:
        case "promoted" if champion is None:
            return f"Version {candidate} is promoted: it is the first to hold Production."
        case "promoted":
            return f"Version {candidate} is promoted to Production; version {champion} is archived."
        case "staged":
            return f"Version {candidate} holds Staging; Production is untouched."
        case "unchanged":
            held = Slot.PRODUCTION if candidate == champion else contest.slot
            return f"Version {candidate} holds {held.value.capitalize()} already; nothing was changed."
        case _:
            return f"Version {candidate} is not better than version {champion}; Production is untouched."
