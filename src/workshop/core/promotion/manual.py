"""What a person does to Production by hand: take the last promotion back, or override the gate.

The gate is not asked, but a version that callers could not use is refused all the same.
"""

from typing import Literal

from workshop.core.errors import WorkshopError
from workshop.core.promotion import guards
from workshop.core.promotion.history import Event
from workshop.core.promotion.outcome import Guard
from workshop.core.promotion.swap import STATUS_TAG, Trial, Turn, swap, trial_of, turn
from workshop.core.registry.model import LoadedModel, load_version, require_probabilities
from workshop.core.registry.slots import Slot, Slots

LONGEST_REASON = 1000


def roll_back(slots: Slots, to: str | None = None, reason: str = "") -> Event | None:
    """Give Production back to the version that held it before, or to another that once did.

    Args:
        slots: of the registered model.
        to: the version; None for the one that `previous` points to.
        reason: why, for the history.

    Returns:
        The event as it is recorded; None where that version holds Production already.

    Raises:
        WorkshopError: there is no such version, or callers could not use it; Production is as it was.
    """
    _require_short(reason)
    with turn(slots) as mine:
        champion, previous = slots.holder(Slot.PRODUCTION), slots.holder(Slot.PREVIOUS)
        version = to or previous
        if version is None or (version == champion and not to):
            raise WorkshopError(
                f"No other version of {slots.model_name} is known to have held Production before, so there is no way "
                "back: name a version with `--to VERSION`, or promote one."
            )
        held_it_before = {*slots.archived(), champion, previous} - {*slots.versions_tagged(STATUS_TAG, "returned")}
        if slots.exists(version) and version not in held_it_before:
            raise WorkshopError(
                f"Version {version} never held Production, so this would be no way back: override the gate with "
                f"`workshop promote {version} --reason …`."
            )
        return _move(mine, "rollback", version, reason or "No reason given.")


def override(slots: Slots, version: str, reason: str) -> Event | None:
    """Give Production to a version although the gate has not said so.

    Returns:
        The event as it is recorded; None where that version holds Production already.

    Raises:
        WorkshopError: there is no reason, no such version, or callers could not use it; Production is as it was.
    """
    if not reason.strip():
        raise WorkshopError("An override needs a reason: pass it with `--reason`.")
    _require_short(reason)
    with turn(slots) as mine:
        return _move(mine, "override", version, reason)


def _move(mine: Turn, kind: Literal["rollback", "override"], version: str, reason: str) -> Event | None:
    slots = mine.slots
    champion = slots.holder(Slot.PRODUCTION)
    if version == champion:
        return None
    if not slots.exists(version):
        raise WorkshopError(
            f"There is no version {version} of {slots.model_name}: `workshop status` and `workshop history` list those "
            "that are there."
        )
    loadable, model = guards.loads(slots.client, slots.model_name, version)
    if model is None:
        raise WorkshopError(_refused(version, loadable))
    fitting = guards.same_inputs(model, _loaded_or_none(slots, champion))
    if not fitting.passed:
        raise WorkshopError(_refused(version, fitting))
    trial = trial_of(model)
    if trial is None:
        raise WorkshopError(
            f"Version {version} has no input example and there is no production table, so it can't be tried: log it "
            "with an example."
        )
    _require_proper_answers(version, trial)
    return swap(mine, Event(kind=kind, version=version, champion=champion, reason=reason), trial)


def _require_short(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise WorkshopError(
            f"A reason may have {LONGEST_REASON:,} characters, and this one has {len(reason):,}: say where to read the "
            "rest."
        )


def _loaded_or_none(slots: Slots, version: str | None) -> LoadedModel | None:
    """The model in Production; None where it can't be loaded, since then the way back is needed most."""
    if version is None:
        return None
    try:
        return load_version(slots.client, slots.model_name, version)
    except WorkshopError:
        return None


def _require_proper_answers(version: str, trial: Trial) -> None:
    try:
        require_probabilities(trial.answers, len(trial.sample), f"model, version {version},")
    except WorkshopError as error:
        raise WorkshopError(f"Version {version} can't take Production: {error}") from error


def _refused(version: str, guard: Guard) -> str:
    return f"Version {version} can't take Production: {guard.finding}"
