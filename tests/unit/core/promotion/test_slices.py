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


def test_a_line_adds_a_slice(production: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(slices.SLICES, "strong wines", lambda wines: wines["alcohol"] > 12)
    found = slices.masks(production.set_index("quality"))["strong wines"]
    assert found.tolist() == [alcohol > 12 for alcohol in production["alcohol"]]
    assert found.any() and not found.all()
