"""The slices of the wines on which a candidate may not be worse than the champion, however good it is on all of them.

A team adds its own with a line: a name, and which rows belong to it.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

SLICES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "red wines": lambda wines: wines["is_red"] == 1,
    "white wines": lambda wines: wines["is_red"] == 0,
}
"""By name, which of the rows belong to the slice."""


def masks(wines: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which rows are in each slice; bool, shape `(rows,)`."""
    return {name: np.asarray(belongs(wines), dtype=bool) for name, belongs in SLICES.items()}
