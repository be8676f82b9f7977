"""Manual changes of Production: roll back the last promotion, or override the gate.

Both skip the gate, but not the guards that protect callers.
"""

from typing import Literal

from workshop.core.errors import WorkshopError
from workshop.core.promotion.event import Event
from workshop.core.promotion.swap import STATUS_TAG, Turn, loaded_or_none, swap, trial_of, turn
from workshop.core.registry.model import require_probabilities
from workshop.core.registry.slots import ARCHIVED_TAG, Slot, Slots

LONGEST_REASON = 1000
_MOST_LISTED = 10


def roll_back(slots: Slots, to: str | None = None, reason: str = "") -> Event | None:
    """Give Production back to the version that held it before, or to another earlier holder.

    Args:
        slots: of the registered model.
        to: the version; None for the holder of `previous`.
        reason: for the history.

    Returns:
        The recorded event; None if that version holds Production already.

    Raises:
        WorkshopError: the version does not exist, or callers could not use it; Production is unchanged.
    """
    _require_short(reason)
    with turn(slots) as session:
        champion, previous = slots.holder(Slot.PRODUCTION), slots.holder(Slot.PREVIOUS)
        version = to or previous
        if version is None or (version == champion and not to):
            raise WorkshopError(
                f"{slots.model_name} has no earlier holder of Production: name a version with `--to VERSION`, "
                "or promote one."
            )
        if not _has_held(slots, version, champion, previous):
            raise WorkshopError(_no_rollback(slots, version, champion, previous))
        return _move(session, "rollback", version, reason or "No reason given.")


def override(slots: Slots, version: str, reason: str) -> Event | None:
    """Give Production to a version without the gate.

    Returns:
        The recorded event; None if that version holds Production already.

    Raises:
        WorkshopError: the reason or the version is missing, or callers could not use it; Production is unchanged.
    """
    if not reason.strip():
        raise WorkshopError("An override needs a reason: pass it with `--reason`.")
    _require_short(reason)
    with turn(slots) as session:
        return _move(session, "override", version, reason)


def _has_held(slots: Slots, version: str, *holders: str | None) -> bool:
    """Return whether a version has held Production, and has answered there."""
    entry = slots.entry(version)
    if entry is None or entry.tags.get(STATUS_TAG) == "returned":
        return False
    return version in holders or ARCHIVED_TAG in entry.tags


def _no_rollback(slots: Slots, version: str, champion: str | None, previous: str | None) -> str:
    """Return the sentence on a version that never held Production, with those to choose from."""
    versions = slots.versions()
    if version not in versions:
        return f"{slots.model_name} has no version {version}: {_choice('it has', versions)}."
    holders = {*slots.archived(), previous} - {champion, *slots.versions_tagged(STATUS_TAG, "returned")}
    held = [each for each in versions if each in holders]
    choice = f"{_choice('roll back to', held)}, or " if held else ""
    return (
        f"Version {version} never held Production, so this would not be a rollback: {choice}override the gate with "
        f"`workshop promote {version} --reason …`."
    )


def _choice(lead: str, versions: list[str]) -> str:
    """Return a phrase that lists the newest versions."""
    if not versions:
        return f"{lead} none"
    listed = ", ".join(versions[-_MOST_LISTED:])
    earlier = " and earlier ones" if len(versions) > _MOST_LISTED else ""
    return f"{lead} version{'s' if len(versions) > 1 else ''} {listed}{earlier}"


def _move(session: Turn, kind: Literal["rollback", "override"], version: str, reason: str) -> Event | None:
    from workshop.core.promotion import guards  # noqa: PLC0415  # imports much, which a refusal does not need

    slots = session.slots
    champion = slots.holder(Slot.PRODUCTION)
    if version == champion:
        return None
    if not slots.exists(version):
        raise WorkshopError(f"{slots.model_name} has no version {version}: {_choice('it has', slots.versions())}.")
    guard, model = guards.loads(slots.client, slots.model_name, version)
    if model is not None:
        # Skip a champion that can't be loaded: that is when a rollback is needed most.
        guard = guards.same_inputs(model, loaded_or_none(slots, champion))
    if model is None or guard.failed:
        raise WorkshopError(f"Version {version} can't take Production: {guard.finding}")
    trial = trial_of(model)
    if trial is None:
        raise WorkshopError(
            f"Version {version} has no input example and there is no production table, so it can't be tested: log it "
            "with an example."
        )
    try:
        require_probabilities(trial.answers, len(trial.sample), f"model, version {version},")
    except WorkshopError as error:
        raise WorkshopError(f"Version {version} can't take Production: {error}") from error
    return swap(session, Event(kind=kind, version=version, champion=champion, reason=reason), trial)


def _require_short(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise WorkshopError(
            f"The reason has {len(reason):,} characters and may have {LONGEST_REASON:,}: shorten it, and link to the "
            "rest."
        )
