"""How often the gate promotes, over independent splits of the wines: models of equal making, and better ones.

The kit's own gate, guards and all, against the rule of the original workshop: promote whenever the AUC is greater.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from bench.measure import Result, Row, Spread, Target, Tell
from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Terms
from workshop.core.promotion import gate, slices

RESPLITS = 300
EQUAL_TREES = 60
FEW_TREES, MANY_TREES = 10, 500
MOST_FALSE, LEAST_TRUE = 0.05, 0.95
TERMS = Terms()


@dataclass(frozen=True)
class Outcome:
    """What came of one split."""

    equal_promoted: bool
    equal_greater: bool
    better_promoted: bool
    better_greater: bool
    z: float
    """The difference of the equals in standard errors; a standard normal variable if the method were exact."""


def measure(rounds: int, tell: Tell) -> Result:
    """Split, fit, judge; `rounds` is not used, as one round has all the splits."""
    del rounds
    outcomes = []
    with ProcessPoolExecutor(cpu_count()) as pool:
        for outcome in pool.map(_one_split, range(RESPLITS)):
            outcomes.append(outcome)
            if len(outcomes) % 25 == 0:
                tell(f"gate: {len(outcomes)} of {RESPLITS} splits")
    equal = f"RandomForest({EQUAL_TREES}) against another of its making"
    better = f"RandomForest({MANY_TREES}) against RandomForest({FEW_TREES})"
    spread = float(np.std([outcome.z for outcome in outcomes], ddof=1))
    return Result(
        title=f"The gate over {RESPLITS} independent splits",
        note=f"confidence {TERMS.confidence:g}, min_improvement {TERMS.min_improvement:g}, all guards; "
        f"the equals' z has a standard deviation of {spread:.2f}",
        rows=[
            _row(f"promoted: {equal}", outcomes, "equal", Target("≤", MOST_FALSE)),
            _row(f"promoted: {better}", outcomes, "better", Target("≥", LEAST_TRUE)),
        ],
    )


def _row(what: str, outcomes: list[Outcome], pair: str, target: Target) -> Row:
    promoted = sum(getattr(outcome, f"{pair}_promoted") for outcome in outcomes)
    greater = sum(getattr(outcome, f"{pair}_greater") for outcome in outcomes)
    ours, theirs = promoted / len(outcomes), greater / len(outcomes)
    return Row(
        what=what,
        figure=f"{promoted} of {len(outcomes)} ({ours:.1%})",
        peer="the rule “promote if the AUC is greater”",
        peer_figure=f"{greater} ({theirs:.1%})",
        ratio=Spread([ours / theirs]),
        target=target,
        met=target.met_by(ours),
    )


def _one_split(seed: int) -> Outcome:
    development, held_out = datasets.split_off_production(read_originals(), seed)
    train = datasets.split_prepared(datasets.prepare(development)).train
    production = datasets.prepare(held_out)
    few, many, first, second = (
        RandomForestClassifier(trees, random_state=1000 * seed + number)
        .fit(train[FEATURES], train[TARGET])
        .predict_proba(production[FEATURES])[:, 1]
        for number, trees in enumerate(_trees())
    )
    target, parts = production[TARGET].to_numpy(), slices.masks(production)
    equal = gate.decide(target, second, first, TERMS, parts)
    better = gate.decide(target, many, few, TERMS, parts)
    assert equal.difference is not None and better.difference is not None and equal.standard_error is not None
    return Outcome(
        equal_promoted=equal.passed,
        equal_greater=equal.difference > 0,
        better_promoted=better.passed,
        better_greater=better.difference > 0,
        z=equal.difference / equal.standard_error,
    )


def _trees() -> Iterator[int]:
    yield from (FEW_TREES, MANY_TREES, EQUAL_TREES, EQUAL_TREES)
