"""Drift: how far the wines of today have moved from the wines that a model was trained on."""

import numpy as np
import pandas as pd

MODERATE, LARGE = 0.1, 0.25
"""Above these an index is commonly read as a moderate and as a large shift."""
_BINS = 10


def population_stability(reference: pd.DataFrame, latest: pd.DataFrame, columns: list[str]) -> dict[str, float]:
    """The population stability index of each column, latest against reference; 0 where the distributions agree.

    The reference's deciles make the bins (a column with fewer values gets a bin a value); the index is the sum over
    the bins of (latest share - reference share) * ln(latest share / reference share). Half a row is added to each bin,
    so that an empty one does not make it infinite. Siddiqi 2006, "Credit Risk Scorecards", Wiley, has the index and
    the thresholds; it informs, and has no error rate.

    Args:
        reference: rows that the model was trained on.
        latest: rows of today.
        columns: the numeric columns to look at, which both have.
    """
    return {name: _index(reference[name].to_numpy(), latest[name].to_numpy()) for name in columns}


def _index(reference: np.ndarray, latest: np.ndarray) -> float:
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    before, after = (
        _shares(np.searchsorted(edges, values, side="left"), len(edges) + 1) for values in (reference, latest)
    )
    return float(np.sum((after - before) * np.log(after / before)))


def _shares(bins: np.ndarray, count: int) -> np.ndarray:
    counts = np.bincount(bins, minlength=count) + 0.5
    shares: np.ndarray = counts / counts.sum()
    return shares
