"""Rules that decide about a candidate: those for one comparison, and those that share an error out over many."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.stats import binom, mannwhitneyu, norm
from sklearn.metrics import roc_auc_score
from typing_extensions import override

from workshop.core.parameters import Terms
from workshop.core.promotion.auc import compare_auc
from workshop.core.promotion.looks import Budget, Wealth

ERROR = 1 - Terms().confidence
_MARGIN = 0.01
_RESAMPLES = 200

OneLook = Callable[[np.ndarray, np.ndarray, np.ndarray], bool]
"""Of the labels, the candidate's probabilities and the champion's: whether it promotes the candidate."""


def _greater(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray, margin: float = 0.0) -> bool:
    return bool(roc_auc_score(target, candidate) > roc_auc_score(target, champion) + margin)


def _greater_by_a_margin(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    return _greater(target, candidate, champion, _MARGIN)


def _unpaired_delong(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    """Compare as if each AUC had rows of its own; against a constant, the error is that of one AUC."""
    constant = np.zeros(len(target))
    first, second = (compare_auc(target, each, constant) for each in (candidate, champion))
    error = np.hypot(first.standard_error, second.standard_error)
    return bool(first.auc_candidate - second.auc_candidate > norm.ppf(1 - ERROR) * error)


def _mcnemar(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    """Compare the numbers of rows that only one of the models gets right, at the threshold 0.5 (McNemar 1947)."""
    right, other = ((scores > 0.5) == target for scores in (candidate, champion))
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return bool(binom.sf(gained - 1, gained + lost, 0.5) <= ERROR) if gained else False


def _paired_bootstrap(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    """Draw the rows of each class again, for both models the same, and take the bound from the spread."""
    positive, draw = target == 1, np.random.default_rng(0)
    difference = sum(
        sign * (np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2)
        for sign, scores in ((1, candidate), (-1, champion))
    )
    weights = [
        draw.multinomial(count, np.full(count, 1 / count), _RESAMPLES) / count
        for count in (int(positive.sum()), int((~positive).sum()))
    ]
    spread = np.einsum("bi,ij,bj->b", weights[0], difference, weights[1], optimize=True).std(ddof=1)
    return bool(np.mean(difference) > norm.ppf(1 - ERROR) * spread)


def _mann_whitney(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    """Compare the probabilities that the models give to the right class, as two unpaired samples."""
    right, other = (np.where(target == 1, scores, 1 - scores) for scores in (candidate, champion))
    return bool(mannwhitneyu(right, other, alternative="greater").pvalue <= ERROR)


def _paired_delong(target: np.ndarray, candidate: np.ndarray, champion: np.ndarray) -> bool:
    return compare_auc(target, candidate, champion).p_value < ERROR


ONE_LOOK: dict[str, OneLook] = {
    "AUC greater": _greater,
    f"AUC greater by {_MARGIN:g}": _greater_by_a_margin,
    "unpaired DeLong": _unpaired_delong,
    "McNemar at 0.5": _mcnemar,
    "paired bootstrap": _paired_bootstrap,
    "Mann-Whitney on the scores": _mann_whitney,
    "ours, one look: paired DeLong": _paired_delong,
}


class Online(ABC):
    """A rule that gives each of many tests its level; promotions and earlier p-values may change it."""

    def __init__(self) -> None:
        self.p_values: list[float] = []
        self.promoted: list[bool] = []

    def decide(self, p_value: float) -> bool:
        """Return whether this test promotes, and remember it."""
        promotes = p_value <= self.level()
        self.p_values.append(p_value)
        self.promoted.append(promotes)
        return promotes

    @abstractmethod
    def level(self) -> float:
        """Return the level of the next test."""


def _share(number: int) -> float:
    """Return the share of the test with that number, from 1; all add up to 1."""
    return 1 / (number * (number + 1))


class Greater(Online):
    """Promote whenever the AUC is greater: then the p-value is below one half."""

    @override
    def level(self) -> float:
        return 0.5 - 1e-12


class Uncorrected(Online):
    """Each test has the whole error."""

    @override
    def level(self) -> float:
        return ERROR


class AlphaSpending(Online):
    """Test k has α/(k(k+1)), as the kit offered it before."""

    @override
    def level(self) -> float:
        return ERROR * _share(len(self.p_values) + 1)


class Fallback(Online):
    """Alpha spending in which a promotion gives its level back to later tests (Tian & Ramdas 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self._levels: list[float] = []

    @override
    def level(self) -> float:
        now = len(self._levels)
        back = sum(self._levels[at] * _share(now - at) for at in range(now) if self.promoted[at])
        return ERROR * _share(now + 1) + back

    @override
    def decide(self, p_value: float) -> bool:
        level = self.level()
        promotes = super().decide(p_value)
        self._levels.append(level)
        return promotes


class Lord(Online):
    """LORD++ with the shares of alpha spending (Ramdas et al. 2017); SAFFRON and ADDIS pass some tests over.

    A test uses up no share if its p-value is at most `candidate` (SAFFRON, Ramdas et al. 2018), or above `discard`
    (ADDIS, Tian & Ramdas 2019).
    """

    candidate, discard = 0.0, 1.0

    @override
    def level(self) -> float:
        first = next((at for at, each in enumerate(self.promoted) if each), None)
        later = [at for at, each in enumerate(self.promoted) if each and at != first]
        sum_of_shares = _share(1 + self._counted(0)) + sum(_share(1 + self._counted(at + 1)) for at in later)
        most = self.candidate or 1.0
        return min(most, ERROR * (self.discard - self.candidate) * sum_of_shares)

    def _counted(self, since: int) -> int:
        return sum(self.candidate < each <= self.discard for each in self.p_values[since:])


class Saffron(Lord):
    """SAFFRON with the shares of alpha spending."""

    candidate = 0.5


class Addis(Lord):
    """ADDIS with the shares of alpha spending."""

    candidate, discard = 0.25, 0.5


class Ours(Online):
    """The rule of the kit, `workshop.core.promotion.looks`."""

    def __init__(self) -> None:
        super().__init__()
        self.wealth = Wealth(budgets=(Budget(0, 1.0),))

    @override
    def level(self) -> float:
        return ERROR * self.wealth.share()

    @override
    def decide(self, p_value: float) -> bool:
        promotes = super().decide(p_value)
        self.wealth = self.wealth.after(self.level(), promoted=promotes)
        return promotes


ONLINE: dict[str, type[Online]] = {
    "paired DeLong, uncorrected": Uncorrected,
    "alpha spending, 1/(k(k+1))": AlphaSpending,
    "online fallback": Fallback,
    "LORD++": Lord,
    "SAFFRON": Saffron,
    "ADDIS": Addis,
    "ours: LORD++, half even over 30": Ours,
}
