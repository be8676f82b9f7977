"""Drift: the distance between the distributions of today's wines and of the wines that a model was trained on."""

import numpy as np
import pandas as pd

MODERATE, LARGE = 0.1, 0.25
"""Above these values an index is commonly called a moderate and a large shift."""
_BINS = 10


def population_stability(reference: pd.DataFrame, latest: pd.DataFrame, columns: list[str]) -> dict[str, float]:
    """Compute the population stability index of each column, latest against reference; 0 for equal distributions.

    The reference's deciles make the bins (a column with fewer values gets a bin per value); the index is the sum over
    the bins of (latest share - reference share) * ln(latest share / reference share). Half a row is added to each bin,
    so that an empty one does not make the index infinite. Source of index and thresholds: Siddiqi 2006, "Credit Risk
    Scorecards", Wiley. The index informs only: it has no error rate.

    Args:
        reference: the rows that the model was trained on.
        latest: the rows of today.
        columns: the numeric columns to compare; both frames have them.
    """
    return {name: _index(reference[name].to_numpy(), latest[name].to_numpy()) for name in columns}


def _index(reference: np.ndarray, latest: np.ndarray) -> float:
    values = np.unique(reference)
    if len(values) <= _BINS:
        edges = np.unique([np.nextafter(values, -np.inf), values])
    else:
        edges = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1]))
    before, after = (
        np.bincount(np.searchsorted(edges, rows), minlength=len(edges) + 1) for rows in (reference, latest)
    )
    in_use = before + after > 0
    before, after = _shares(before[in_use]), _shares(after[in_use])
    return float(np.sum((after - before) * np.log(after / before)))


def _shares(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = (counts + 0.5) / (counts + 0.5).sum()
    return shares
