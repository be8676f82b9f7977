import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop.core.data.schemas import FEATURES
from workshop.core.promotion.drift import LARGE, MODERATE, population_stability

values = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=20)


def index(reference: "list[float] | np.ndarray", latest: "list[float] | np.ndarray") -> float:
    """The index of one column."""
    before, after = (pd.DataFrame({"alcohol": np.asarray(each, dtype="float64")}) for each in (reference, latest))
    return population_stability(before, after, ["alcohol"])["alcohol"]


@given(values, values)
def test_the_index_is_finite_and_never_negative_and_0_for_the_same_wines(
    reference: list[float], latest: list[float]
) -> None:
    found = index(reference, latest)
    assert math.isfinite(found)
    assert found >= -1e-12
    assert index(reference, reference) == index(reference, reference[::-1]) == 0


def test_the_index_is_the_one_of_a_hand_computation() -> None:
    # Nine deciles of 1 to 1,000 make ten bins of 100 rows. All of the latest 100 rows are in the first: with half a
    # row more in each bin its share goes from 100.5/1005 to 100.5/105, and that of each of the nine others from the
    # same tenth to 0.5/105.
    first, other = 100.5 / 105, 0.5 / 105
    expected = (first - 0.1) * math.log(first / 0.1) + 9 * (other - 0.1) * math.log(other / 0.1)
    assert index(np.arange(1, 1001), np.full(100, 1.0)) == pytest.approx(expected)


def test_the_index_of_a_binary_column_is_the_one_of_a_hand_computation() -> None:
    # A fifth red against a half: (0.5 - 0.2) ln(0.5 / 0.2) + (0.5 - 0.8) ln(0.5 / 0.8) = 0.4159, but for the halves.
    reference, latest = np.repeat([0.0, 1.0], [8_000, 2_000]), np.repeat([0.0, 1.0], [5_000, 5_000])
    assert index(reference, latest) == pytest.approx(0.4159, abs=1e-3)
    assert index(reference, reference[::2]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("reference", "latest"),
    [
        (np.repeat([0.0, 1.0], [750, 250]), np.full(300, 0.0)),
        (np.repeat([0.0, 1.0], [750, 250]), np.full(300, 1.0)),
        (np.repeat([0.0, 1.0], [50, 950]), np.repeat([0.0, 1.0], [500, 500])),
        (np.full(500, 3.0), np.full(500, 4.0)),
        (np.full(500, 3.0), np.full(500, 2.0)),
    ],
    ids=["no red wine", "only red wine", "more white wine", "a larger constant", "a smaller constant"],
)
def test_other_values_of_a_column_with_few_values_are_a_large_shift(reference: np.ndarray, latest: np.ndarray) -> None:
    assert LARGE < index(reference, latest) < math.inf
    assert index(reference, reference[::2]) == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_index_grows_with_the_shift_and_is_much_the_same_in_both_directions(sign: int) -> None:
    wines = np.random.default_rng(2).normal(0, 1, 20_000)
    found = [index(wines[:10_000], wines[10_000:] + sign * shift) for shift in (0.0, 0.2, 0.5, 1.0, 2.0)]
    assert found == sorted(found)
    # For two normal distributions a standard deviation wide the continuous index is the square of the shift.
    assert found[:3] == pytest.approx([0.0, 0.04, 0.25], abs=0.03)
    assert found[0] < MODERATE < LARGE < found[3]
    opposite = index(wines[:10_000], wines[10_000:] - sign)
    assert found[3] == pytest.approx(opposite, rel=0.1)


def test_values_beyond_any_that_were_seen_are_in_the_outer_bins() -> None:
    seen = np.arange(100.0)
    assert index(seen, seen + 1e6) == pytest.approx(index(seen, seen - 1e6), rel=0.1)
    assert math.isfinite(index(seen, seen + 1e6))


def test_each_column_has_its_own_index(production: pd.DataFrame) -> None:
    later = production.assign(alcohol=production["alcohol"] + 1.5)
    found = population_stability(production, later, FEATURES)
    assert list(found) == FEATURES
    assert all(type(each) is float for each in found.values())
    assert found.pop("alcohol") > LARGE
    assert set(found.values()) == {0.0}
