"""The error that looks spend, and how much of a table is new to them."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop.core.promotion.looks import HORIZON, Look, Wealth, share_of_look

ERROR = 0.025
CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=120)
"""For each look, whether it promotes, and how many hundreds of the table's wines are replaced before it."""


def wines(first: int, count: int = 300) -> pd.DataFrame:
    return pd.DataFrame({"alcohol": np.arange(first, first + count), "is_high_quality": 1})


def looked(*promoted: bool) -> Wealth:
    """Return the wealth after looks at the same wines."""
    wealth = Wealth()
    for each in promoted:
        wealth, _ = wealth.on(wines(0))
        wealth = wealth.after(ERROR * wealth.share(), promoted=each)
    return wealth


def test_the_shares_of_all_looks_add_up_to_one() -> None:
    shares = [share_of_look(number) for number in range(1, 20_001)]
    assert sum(shares) == pytest.approx(1 - 1 / (2 * 20_001))
    assert shares == sorted(shares, reverse=True)


@given(st.lists(st.booleans(), max_size=200))
def test_looks_at_the_same_wines_never_spend_more_than_one_error_per_promotion(promoted: list[bool]) -> None:
    wealth = looked(*promoted)
    assert wealth.spent <= ERROR * max(1, wealth.promotions) + 1e-12
    assert (wealth.looks, wealth.promotions) == (len(promoted), sum(promoted))


@given(CHANGES)
def test_new_wines_add_one_error_for_each_table_of_them(changes: list[tuple[bool, int]]) -> None:
    wealth, first, tables, earned, spent = Wealth(), 0, 0.0, 0, 0.0
    for promoted, hundreds in changes:
        first += 100 * hundreds
        wealth, new = wealth.on(wines(first))
        assert new == pytest.approx(1 if not tables else hundreds / 3, abs=0.1)  # estimated, in the end
        tables += new
        own = ERROR * wealth.share()
        spent += own
        wealth = wealth.after(own, promoted=promoted)
        earned += promoted and wealth.promotions > 1
        assert 0 < own <= ERROR
    assert spent <= ERROR * (tables + earned) + 1e-12


def test_ten_new_wines_add_as_much_as_they_are() -> None:
    before = looked(*[False] * 12)
    wealth, new = before.on(wines(10))
    assert new == pytest.approx(10 / 300)
    assert wealth.share() - before.share() == pytest.approx(new * share_of_look(1))
    assert wealth.looks == 12


def test_wines_that_come_back_are_not_new() -> None:
    wealth, _ = looked(False, False).on(wines(300))
    assert wealth.looks == 0
    again, new = wealth.after(0.01, promoted=False).on(wines(0))
    assert (new, again.looks) == (0, 1)
    fewer, new = again.on(wines(20, 100))
    assert (new, fewer.share()) == (0, again.share())


def test_the_order_of_the_wines_does_not_matter() -> None:
    wealth, _ = Wealth().on(wines(0))
    _, new = wealth.on(wines(0).sample(frac=1, random_state=1))
    assert new == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_the_share_of_new_wines_in_a_large_table_is_estimated(share: float) -> None:
    rows = 200_000
    wealth, _ = Wealth().on(wines(0, rows))
    assert len(json.dumps(wealth.as_dict())) < 8_000
    _, new = wealth.on(wines(int(rows * share), rows))
    assert new == pytest.approx(share, abs=0.06)


def test_the_looks_that_are_left() -> None:
    first, _ = Wealth().on(wines(0))
    assert first.more_looks() == HORIZON - 1
    assert looked(*[False] * 12).more_looks() == HORIZON - 13
    assert looked(*[False] * 60).more_looks() == 0
    assert looked(*[False] * 12, True, True).more_looks() >= HORIZON - 1


def test_a_promotion_after_the_first_adds_a_budget() -> None:
    assert looked(False, True).share() == looked(False, False).share()
    assert looked(True, True).share() == pytest.approx(looked(True, False).share() + share_of_look(1))


def test_a_long_history_keeps_a_short_record() -> None:
    wealth = looked(*[True] * 1_000)
    assert len(wealth.budgets) <= 302
    assert wealth.share() <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_look_comes_back_from_its_record(promoted: list[bool]) -> None:
    look = Look.drawing_on(*looked(*promoted).on(wines(7)), test="t", follows="f")
    read = Look.from_dict(json.loads(json.dumps(look.as_dict())))
    assert read.as_dict() == look.as_dict()
    assert read.wealth is not None and look.wealth is not None
    np.testing.assert_array_equal(read.wealth.seen, look.wealth.seen)


@pytest.mark.parametrize(
    "damage",
    [
        {"wealth": {}},
        {"wealth": {"looks": 1, "promotions": 0, "budgets": [[0]], "spent": 0, "seen": ""}},
        {"wealth": {"looks": 1, "promotions": 0, "budgets": [], "spent": 0, "seen": "\n"}},
        {"wealth": 7},
        {"colour": "red"},
    ],
)
def test_a_damaged_record_is_a_value_error(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Look.from_dict({**Look().as_dict(), **damage})
    with pytest.raises(ValueError):
        Look.from_dict({})
