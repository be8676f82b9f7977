"""Rules for a promotion, over independent splits of the wines: one comparison, thirty in a row, a class of thirty.

Every split has one champion, thirty candidates of its making and fifteen better ones: forests of 10 trees and of 30.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from os import cpu_count

import numpy as np
from scipy.stats import binomtest

from bench.forests import Trees
from bench.measure import Grid, Tell
from bench.rules import ERROR, ONE_LOOK, ONLINE, Greater, Online
from workshop.core.promotion.auc import compare_auc

SPLITS = 1_000
TREES, MORE_TREES = 10, 30
LOOKS, MOST_BETTER, IN_A_CLASS = 30, 15, 3
SHARES = {0: "no candidate is better", 3: "three of thirty are better", 15: "fifteen of thirty are better"}
AFTER = (1, 10, LOOKS)
IN_CLASSES: dict[str, type[Online]] = {next(iter(ONE_LOOK)): Greater, **ONLINE}


@dataclass(frozen=True)
class Split:
    """What the rules did on one split."""

    equal: dict[str, bool]
    """For each rule for one look: whether it promoted a candidate of the champion's making."""
    better: dict[str, bool]
    """The same for a better one."""
    seconds: dict[str, float]
    """Of one comparison."""
    sequences: dict[tuple[str, int], np.ndarray]
    """For each online rule and number of better ones: is each candidate better, and promoted; shape `(2, 30)`."""
    classes: dict[tuple[str, int], tuple[bool, bool]]
    """For each rule and number of better ones: was a promotion false, and is a better one the last champion."""


def measure(rounds: int, tell: Tell) -> list[Grid]:
    """Split, fit and judge; `rounds` is not used, as one round has all the splits."""
    del rounds
    splits: list[Split] = []
    with ProcessPoolExecutor(cpu_count()) as pool:
        for split in pool.map(_one_split, range(SPLITS)):
            splits.append(split)
            if len(splits) % 50 == 0:
                tell(f"gate: {len(splits)} of {SPLITS} splits")
    return [_shoot_out(splits), *(_sequences(splits, better) for better in SHARES), _classes(splits)]


def _shoot_out(splits: list[Split]) -> Grid:
    rows = []
    for name in ONE_LOOK:
        false = _share([split.equal[name] for split in splits])
        true = _share([split.better[name] for split in splits], interval=False)
        milliseconds = 1000 * float(np.median([split.seconds[name] for split in splits]))
        rows.append((name, false, true, f"{milliseconds:.1f}"))
    return Grid(
        f"One comparison on each of {len(splits):,} splits",
        f"a forest of {TREES} trees against another one, and one of {MORE_TREES} against it; allowed error "
        f"{100 * ERROR:.3g} %, except for the first two rules; in brackets 95 % intervals",
        ("rule", "promoted though equal", "promoted, better", "ms"),
        rows,
    )


def _sequences(splits: list[Split], better: int) -> Grid:
    rows = []
    for name in ONLINE:
        done = np.array([split.sequences[name, better] for split in splits])
        cells = []
        for looks in AFTER:
            is_better, promoted = done[:, 0, :looks], done[:, 1, :looks]
            false = (promoted & ~is_better).sum(axis=1)
            cells.append(f"{100 * np.mean(false / np.maximum(promoted.sum(axis=1), 1)):.1f} %")
            cells.append(f"{100 * np.mean(false > 0):.1f} %")
            found = f"{100 * (promoted & is_better).sum() / is_better.sum():.0f} %" if is_better.any() else "–"
            cells.append(found)
        rows.append((name, *cells))
    return Grid(
        f"Thirty candidates against one champion: {SHARES[better]}",
        f"{len(splits):,} splits, in random order; false: of all promotions, on average over the sequences; any: "
        "sequences with a false promotion; found: of the better candidates. The champion stays: each look is the same "
        "question.",
        ("rule", *(f"{what}, {looks}" for looks in AFTER for what in ("false", "any", "found"))),
        rows,
    )


def _classes(splits: list[Split]) -> Grid:
    rows = [
        (
            name,
            _share([split.classes[name, 0][0] for split in splits]),
            _share([split.classes[name, IN_A_CLASS][0] for split in splits]),
            _share([split.classes[name, IN_A_CLASS][1] for split in splits]),
        )
        for name in IN_CLASSES
    ]
    return Grid(
        f"A class of thirty, one after the other: {len(splits):,} classes",
        "A promoted candidate is the next champion; wrong: classes with a promotion of a model that is no better than "
        "its champion",
        ("rule", "all equal: wrong", "three better: wrong", "three better: one of them at the end"),
        rows,
    )


def _share(cases: list[bool], *, interval: bool = True) -> str:
    """Return the share of cases, with Wilson's interval."""
    found, total = sum(cases), len(cases)
    share = f"{100 * found / total:.1f} %"
    if not interval:
        return share
    low, high = binomtest(found, total).proportion_ci(0.95, "wilson")
    return f"{share} ({100 * low:.1f} – {100 * high:.1f})"


def _one_split(seed: int) -> Split:
    trees = Trees.on_split(seed, TREES * (LOOKS + 1) + MORE_TREES * MOST_BETTER)
    models = [trees.forest(TREES) for _ in range(LOOKS + 1)] + [trees.forest(MORE_TREES) for _ in range(MOST_BETTER)]
    champion, candidate, better = models[0], models[1], models[LOOKS + 1]
    target, seconds = trees.target, {}
    equal_promoted, better_promoted = {}, {}
    for name, rule in ONE_LOOK.items():
        started = time.perf_counter()
        equal_promoted[name] = rule(target, candidate, champion)
        seconds[name] = time.perf_counter() - started
        better_promoted[name] = rule(target, better, champion)

    @cache
    def p_value(candidate: int, champion: int) -> float:
        return compare_auc(target, models[candidate], models[champion]).p_value

    orders = {count: _order(seed, count) for count in SHARES}
    return Split(
        equal=equal_promoted,
        better=better_promoted,
        seconds=seconds,
        sequences={
            (name, count): _sequence(rule(), orders[count], p_value)
            for name, rule in ONLINE.items()
            for count in SHARES
        },
        classes={
            (name, count): _class(rule(), orders[count], p_value)
            for name, rule in IN_CLASSES.items()
            for count in (0, IN_A_CLASS)
        },
    )


def _order(seed: int, better: int) -> np.ndarray:
    """Return the numbers of thirty models in random order, that many of which are better than model 0."""
    equal = np.arange(1, LOOKS + 1 - better)
    return np.random.default_rng(seed).permutation([*equal, *range(LOOKS + 1, LOOKS + 1 + better)])


def _sequence(rule: Online, order: np.ndarray, p_value: Callable[[int, int], float]) -> np.ndarray:
    promoted = [rule.decide(p_value(int(model), 0)) for model in order]
    return np.array([order > LOOKS, promoted], dtype=bool)


def _class(rule: Online, order: np.ndarray, p_value: Callable[[int, int], float]) -> tuple[bool, bool]:
    champion, wrong = 0, False
    for model in map(int, order):
        if rule.decide(p_value(model, champion)):
            wrong |= (model > LOOKS) <= (champion > LOOKS)
            champion = model
    return wrong, champion > LOOKS
