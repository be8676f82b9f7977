"""The slices of the wines on which a candidate may not be worse than the champion, however good it is overall.

To add a slice, add a line to `SLICES`: a name, and a function that selects its rows.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

SLICES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "red wines": lambda wines: wines["is_red"] == 1,
    "white wines": lambda wines: wines["is_red"] == 0,
}
"""The function that selects the rows of each slice."""


def masks(wines: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the mask of each slice; bool, shape `(rows,)`."""
    return {name: np.asarray(select(wines), dtype=bool) for name, select in SLICES.items()}
