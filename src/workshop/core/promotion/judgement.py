"""What a decision was made from."""

from dataclasses import dataclass, field

import numpy as np

from workshop.core.promotion.gate import Decision


@dataclass(frozen=True)
class Judgement:
    """A decision with what it was made from, for whoever wants to draw or repeat it."""

    decision: Decision
    champion_version: str | None
    target: np.ndarray
    candidate: np.ndarray | None = None
    """Its probabilities; None where it did not get as far as to answer."""
    champion: np.ndarray | None = None
    drift: dict[str, float] = field(default_factory=dict)
    """The population stability index of each feature, the compared rows against the candidate's training wines."""
