import numpy as np
import pandas as pd
import pytest

from workshop.core.promotion import slices


def test_every_wine_is_in_the_slice_of_its_colour(production: pd.DataFrame) -> None:
    found = slices.masks(production)
    assert list(found) == ["red wines", "white wines"]
    for mask in found.values():
        assert (mask.dtype, mask.shape) == (np.dtype(bool), (len(production),))
    assert (found["red wines"] ^ found["white wines"]).all()
    assert production.loc[found["red wines"], "is_red"].unique().tolist() == [1.0]
    assert 0 < found["red wines"].sum() < found["white wines"].sum()


def test_a_team_adds_a_slice_with_a_line(production: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(slices.SLICES, "strong wines", lambda wines: wines["alcohol"] > 12)
    found = slices.masks(production)["strong wines"]
    assert found.tolist() == [alcohol > 12 for alcohol in production["alcohol"]]
    assert found.any() and not found.all()


def test_the_rows_count_and_not_their_index() -> None:
    wines = pd.DataFrame({"is_red": [1.0, 0.0, 1.0]}, index=[7, 7, 3])
    assert slices.masks(wines)["red wines"].tolist() == [True, False, True]
