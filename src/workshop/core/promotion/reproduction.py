"""Whether the candidate of CD is the model that CI has passed, which holds Staging."""

import numpy as np
import pandas as pd

from workshop.core.errors import WorkshopError
from workshop.core.registry.model import load_version, require_probabilities
from workshop.core.registry.slots import Slot, Slots


def notes(slots: Slots, candidate: str, champion: str | None, wines: pd.DataFrame, answers: np.ndarray) -> list[str]:
    """What a reader should know about the staged version; nothing where none is staged that is still to be promoted.

    Args:
        slots: of the registered model.
        candidate: the version that is judged.
        champion: the version in Production, if any.
        wines: the rows that it is judged on.
        answers: the candidate's, shape `(rows,)`.
    """
    staged = slots.holder(Slot.STAGING)
    if staged is None or staged in (candidate, champion):
        return []
    try:
        theirs = load_version(slots.client, slots.model_name, staged).probabilities(wines)
        require_probabilities(theirs, len(wines), f"model in Staging, version {staged},")
    except WorkshopError as error:
        return [f"Whether it reproduces version {staged}, which CI has staged, can't be said: {error}"]
    different = int((theirs != answers).sum())
    if not different:
        return [f"It reproduces version {staged}, which CI has staged: the same answers to all {len(wines):,} wines."]
    return [
        f"It is another model than version {staged}, which CI has passed and staged: {different:,} of {len(wines):,} "
        f"answers differ, by up to {np.abs(theirs - answers).max():.3f}. What is judged here has not been through CI."
    ]
