"""The tables of a decision that a notebook shows."""

from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from workshop.core.promotion.outcome import MARKS, Decision, Result

_FAILED = "color: #a3262a; background-color: #fbe9e9; font-weight: bold"
"""Readable in JupyterLab's light theme and in its dark one."""
_STYLES: list[Any] = [
    {"selector": "th, td", "props": "text-align: left"},
    {"selector": "td.col1", "props": "white-space: nowrap"},  # the result
]


def figures_table(decision: Decision) -> Styler:
    """Return the numbers of a decision, counts as whole numbers and all others with four digits."""
    figures = {
        name.replace("_", " "): f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        for name, value in decision.as_dict().items()
        if isinstance(value, int | float)
    }
    return pd.Series(figures, name="decision").to_frame().style


def guards_table(decision: Decision) -> Styler:
    """Return the result and the finding of each guard, with those that failed highlighted."""
    rows = [(guard.name, _marked(guard.result), guard.finding) for guard in decision.guards]
    table = pd.DataFrame(rows, columns=["guard", "result", "finding"])
    return table.style.hide(axis="index").set_table_styles(_STYLES).apply(_highlight, axis=1)


def _highlight(row: "pd.Series[str]") -> list[str]:
    return [_FAILED if row["result"] == _marked("failed") else ""] * len(row)


def _marked(result: Result) -> str:
    return f"{MARKS[result]} {result}"
