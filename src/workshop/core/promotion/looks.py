"""Error control over many looks: the confidence that each comparison on the production wines must reach.

A look is one comparison on production wines. If each had the whole allowed error, a candidate that is no better would
be promoted sooner or later. The rule is LORD++ (Ramdas, Yang, Wainwright & Jordan 2017, "Online control of the false
discovery rate with decaying memory", NeurIPS 30; after Javanmard & Montanari 2018, Annals of Statistics 46:526-554): a
budget of error is shared out over the looks that follow it, and each promotion after the first adds a budget. So on one
set of wines the budgets are never more than the allowed error times the number of promotions (or times 1 before the
first), and at most that share of all promotions is expected to be false.

Wines that no look has compared on add a budget in proportion to their share. If all are new, the count starts again.
"""

import base64
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

HORIZON = 30
"""Half of a budget is spread evenly over that many looks; the other half goes to the first ones, mostly."""
_FORGOTTEN_AFTER = 10 * HORIZON
"""Looks after which what is left of a budget, less than a six-hundredth, is dropped, so that a record stays short."""
_MOST_HASHES = 1_500
"""Of the wines that were compared on, those with the smallest hashes are remembered: a sample of any number of rows."""
_LARGEST_HASH = 2**32 - 1


def share_of_look(number: int) -> float:
    """Return the share of a budget for the look with that number after it, from 1; those of all looks add up to 1."""
    return (1 / (number * (number + 1)) + (1 / HORIZON if number <= HORIZON else 0)) / 2


@dataclass(frozen=True)
class Budget:
    """A part of the allowed error, for the looks that follow."""

    after: int
    """The number of looks before it."""
    size: float
    """In units of the error that one look alone may make, 1 - `confidence`."""


@dataclass(frozen=True)
class Wealth:
    """What the looks at some wines have left for the next one."""

    looks: int = 0
    promotions: int = 0
    budgets: tuple[Budget, ...] = ()
    spent: float = 0.0
    """The sum of the errors that the looks were allowed: an upper bound on the chance of a false promotion."""
    seen: np.ndarray = field(default_factory=lambda: np.empty(0, dtype="uint32"))
    """Hashes of the wines that any look has compared on, sorted."""

    def share(self, ahead: int = 0) -> float:
        """Return the part of the error, 1 - `confidence`, for the next look, or for one that many looks later."""
        number = self.looks + 1 + ahead
        return min(1.0, sum(each.size * share_of_look(number - each.after) for each in self.budgets))

    def more_looks(self) -> int:
        """Return how many looks after the next one have at least the share of an even spread over `HORIZON` looks.

        Only half of a budget is spread evenly, hence half of that share. A promotion or new wines add looks.
        """
        number = 0
        while self.share(number + 1) >= 1 / (2 * HORIZON):
            number += 1
        return number

    def on(self, wines: pd.DataFrame) -> "tuple[Wealth, float]":
        """Return the wealth for a look at these wines, and the share of them that no look has compared on."""
        hashes = np.unique(pd.util.hash_pandas_object(wines, index=False).to_numpy() >> np.uint64(32)).astype("uint32")
        new, seen = self._share_of_new(hashes), np.union1d(self.seen, hashes)[:_MOST_HASHES]
        if new == 1:
            return Wealth(budgets=(Budget(0, 1.0),), seen=seen), new
        kept = tuple(each for each in self.budgets if self.looks - each.after < _FORGOTTEN_AFTER)
        return replace(self, seen=seen, budgets=(*kept, *([Budget(self.looks, new)] if new else []))), new

    def after(self, error: float, *, promoted: bool) -> "Wealth":
        """Return the wealth after a look that was allowed this error; a promotion after the first adds a budget.

        A promotion keeps its budget when it is rolled back: the rule counts promotions as the gate makes them.
        """
        looks, promotions = self.looks + 1, self.promotions + promoted
        earned = (Budget(looks, 1.0),) if promoted and promotions > 1 else ()
        budgets, spent = (*self.budgets, *earned), self.spent + error
        return replace(self, looks=looks, promotions=promotions, budgets=budgets, spent=spent)

    def as_dict(self) -> dict[str, Any]:
        """Return the wealth as JSON types."""
        budgets = [[each.after, each.size] for each in self.budgets]
        seen = base64.b85encode(self.seen.astype("<u4").tobytes()).decode()
        return {**vars(self), "budgets": budgets, "seen": seen}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Wealth":
        """Return the wealth of a record.

        Raises:
            ValueError: the record is damaged.
        """
        try:
            seen = np.frombuffer(base64.b85decode(record["seen"]), dtype="<u4").astype("uint32")
            budgets = tuple(Budget(int(after), float(size)) for after, size in record["budgets"])
            looks, promotions, spent = int(record["looks"]), int(record["promotions"]), float(record["spent"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a wealth: {error}") from error
        return cls(looks, promotions, budgets, spent, seen)

    def _share_of_new(self, hashes: np.ndarray) -> float:
        """Return the share of new wines; among those below the largest hash that is remembered, if some are not."""
        if not len(self.seen):
            return 1.0
        below = self.seen[-1] if len(self.seen) >= _MOST_HASHES else _LARGEST_HASH
        sample = hashes[hashes <= below]
        return float((~np.isin(sample, self.seen)).mean()) if len(sample) else 0.0


@dataclass(frozen=True)
class Look:
    """A comparison to make: its number, and the share of the allowed error that it has."""

    number: int = 1
    share: float = 1.0
    """Of 1 - `confidence`, if the looks are corrected for."""
    spent_before: float = 0.0
    """The errors that the earlier looks at these wines were allowed."""
    new_wines: float = 1.0
    """The share of the wines that no earlier look has compared on."""
    more_looks: int = 0
    """The looks that are left after this one."""
    test: str = ""
    """Identifies the champion, the rows and the candidate's answers."""
    follows: str = ""
    """The id of the event of the look before."""
    repeats: bool = False
    """Whether the same test was made before, so that it spends nothing again."""
    wealth: Wealth | None = None
    """What the look draws on; None where nothing is counted, as on test wines."""

    @classmethod
    def drawing_on(cls, wealth: Wealth, new_wines: float, *, test: str = "", follows: str = "") -> "Look":
        """Return the next look of this wealth."""
        return cls(
            number=wealth.looks + 1,
            share=wealth.share(),
            spent_before=wealth.spent,
            new_wines=new_wines,
            more_looks=wealth.more_looks(),
            test=test,
            follows=follows,
            wealth=wealth,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the look as JSON types."""
        return {**vars(self), "wealth": None if self.wealth is None else self.wealth.as_dict()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Look":
        """Return the look of a record.

        Raises:
            ValueError: the record is damaged.
        """
        try:
            wealth = None if record["wealth"] is None else Wealth.from_dict(record["wealth"])
            return cls(**{**record, "wealth": wealth})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a look: {error}") from error


ALONE = Look()
"""The look of a comparison that is not counted: it has the whole allowed error."""
