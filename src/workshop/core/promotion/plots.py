"""Pictures for more than one place: notebooks, the report, MLflow runs."""

import logging
import math
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mlflow.entities import Metric
from sklearn.metrics import roc_curve

from workshop.core.errors import WorkshopError
from workshop.core.promotion.drift import LARGE, MODERATE
from workshop.core.promotion.event import Event
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.history import History
from workshop.core.promotion.outcome import Decision
from workshop.core.promotion.texts import percent
from workshop.core.registry.mlflow_store import explained

CANDIDATE = "#8a1c4a"
CHAMPION = "#3b6ea5"
BETTER = "#1b6e3c"
NEUTRAL = "#6b7280"
_MARKS = {
    "promotion": ("^", BETTER),
    "override": ("*", "#c99a2e"),
    "rollback": ("v", CHAMPION),
    "staging": ("o", NEUTRAL),
    "comparison": ("D", NEUTRAL),
    "rejection": ("X", CANDIDATE),
    "refusal": ("s", "#a3262a"),
}
"""Marker and colour of each kind of event."""
_DARK_THEME = "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(.92) hue-rotate(180deg); } }</style>"
"""In an SVG: a browser with a dark theme shows white as black and keeps the hues."""
_log = logging.getLogger("workshop")


def use_workshop_style() -> None:
    """Set the kit's style for all plots."""
    sns.set_theme(style="whitegrid", palette=[CANDIDATE, CHAMPION, "#c99a2e", "#4d7c5b"])
    plt.rcParams.update({"figure.dpi": 110, "axes.titleweight": "bold", "axes.titlelocation": "left"})


def named(column: str) -> str:
    """Return the name of a column of the wines as a reader writes it."""
    return {"ph": "pH", "is_red": "red"}.get(column, column.replace("_", " "))


def save(figure: Figure, path: Path, keywords: str = "") -> None:
    """Write a figure to a file, in the format of its suffix, and close it; an SVG follows the reader's dark theme.

    Args:
        figure: the figure.
        path: of the file.
        keywords: metadata, which the file contains as plain text.

    Raises:
        OSError: the file can't be written.
    """
    try:
        figure.savefig(path, metadata={"Keywords": keywords})
        if path.suffix == ".svg":
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("<defs>", f"{_DARK_THEME}<defs>", 1), encoding="utf-8")
    finally:
        plt.close(figure)


def decision_picture(judgement: Judgement) -> Figure:
    """Draw both ROC curves, and the AUC difference with its confidence bounds against the threshold."""
    if judgement.decision.auc_candidate is None:
        return _no_comparison(judgement.decision)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), width_ratios=[1, 1.15])
    _draw_roc_curves(left, judgement)
    _draw_difference(right, judgement.decision)
    figure.tight_layout()
    return figure


def drift_picture(drift: dict[str, float]) -> Figure:
    """Draw the drift of each feature between the training wines and the compared wines, largest first.

    Args:
        drift: the population stability index of each feature.
    """
    indices = pd.Series(drift).sort_values()
    figure, axes = plt.subplots(figsize=(8, 4.2))
    colours = [CANDIDATE if index > LARGE else "#c99a2e" if index > MODERATE else CHAMPION for index in indices]
    axes.barh([named(str(name)) for name in indices.index], indices.to_numpy(), color=colours)
    for limit, name in ((MODERATE, "moderate"), (LARGE, "large")):
        axes.axvline(limit, color=NEUTRAL, linestyle="--", linewidth=1.2)
        axes.text(limit, -0.4, f" {name}", color=NEUTRAL, fontsize=9, va="center")
    axes.set(
        title="Drift since training", xlabel="population stability index", xlim=(0, max(0.3, 1.05 * indices.max()))
    )
    figure.tight_layout()
    return figure


def history_picture(events: list[Event]) -> Figure:
    """Draw the holder of Production over time, all other events, and the result of each comparison."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 6.4), sharex=True, height_ratios=[1.3, 1])
    champions: list[int | None] = []
    champion = int(events[0].champion) if events[0].champion else None
    for event in events:
        if event.state == "done" and event.kind in ("promotion", "rollback", "override"):
            champion = int(event.version)
        champions.append(champion)
    numbers = np.arange(1, len(events) + 1)
    held = np.array([np.nan if each is None else each for each in champions], dtype="float64")
    top.step([*numbers, len(events) + 0.6], [*held, held[-1]], where="post", color=CHAMPION, linewidth=2.5, zorder=1)
    for kind, (marker, colour) in _MARKS.items():
        for undone in (False, True):
            at = [
                number
                for number, event in zip(numbers, events, strict=True)
                if event.kind == kind and (event.state != "done") == undone
            ]
            versions = [int(events[number - 1].version) for number in at]
            if at:
                faces = {"facecolors": "none", "edgecolors": colour} if undone else {"color": colour}
                label = f"{kind}, undone" if undone else kind
                top.scatter(at, versions, marker=marker, s=110, zorder=2, label=label, **faces)
    top.set(title="Holder of Production", ylabel="version")
    top.yaxis.set_major_locator(MaxNLocator(integer=True))
    top.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    for number, event in zip(numbers, events, strict=True):
        decision = event.decision or {}
        if decision.get("difference") is not None:
            colour = _MARKS[event.kind][1]
            bottom.plot([number] * 2, [decision["lower_bound"], decision["upper_bound"]], color=colour, linewidth=3)
            bottom.plot(number, decision["difference"], "o", color=colour, markersize=8)
    bottom.axhline(0, color=NEUTRAL, linestyle="--", linewidth=1.2)
    bottom.set(title="Candidate against champion", ylabel="AUC difference", xlim=(0.5, len(events) + 0.6))
    bottom.set_xlabel("event, and its time (UTC)")
    shown = numbers[:: max(1, len(events) // 12)]
    days = [f"{each.number}\n{each.at[5:10]}\n{each.at[11:16]}" for each in (events[number - 1] for number in shown)]
    bottom.set_xticks(shown, days, fontsize=9)
    figure.tight_layout()
    return figure


def feature_importances(classifier: Any, names: list[str]) -> Figure:
    """Draw the classifier's feature importances, largest first."""
    importances = pd.Series(classifier.feature_importances_, index=names).sort_values()
    figure, axes = plt.subplots(figsize=(7, 4.2))
    axes.barh([named(name) for name in importances.index], importances.to_numpy(), color=CANDIDATE)
    axes.set(title="Feature importances", xlabel="importance")
    figure.tight_layout()
    return figure


def score_distributions(
    latest: np.ndarray, latest_label: str, earlier: np.ndarray | None, earlier_label: str
) -> Figure:
    """Draw the share of predictions in each bin of [0, 1], for the latest batch and the one before it.

    Args:
        latest: counts per bin, bins of equal width.
        latest_label: its name in the legend.
        earlier: counts of the batch before, or None for the first batch.
        earlier_label: its name in the legend.
    """
    edges = np.linspace(0, 1, len(latest) + 1)
    figure, axes = plt.subplots(figsize=(8, 4))
    axes.stairs(latest / latest.sum(), edges, fill=True, color=CANDIDATE, alpha=0.55, label=latest_label)
    if earlier is not None:
        axes.stairs(earlier / earlier.sum(), edges, color=CHAMPION, linewidth=2, label=earlier_label)
    axes.set(
        title="Predicted quality of the wines",
        xlabel="predicted probability of high quality",
        ylabel="share of wines",
    )
    axes.legend()
    figure.tight_layout()
    return figure


def illustrate(history: History, event: Event, judgement: Judgement) -> None:
    """Add figures and pictures to a recorded event; the event is complete without them, so a failure only warns."""
    client = history.client
    try:
        with explained("draw the decision"):
            timestamp = int(datetime.fromisoformat(event.at).timestamp() * 1000)
            metrics = [Metric(name, value, timestamp, 0) for name, value in _figures(judgement.decision).items()]
            client.log_batch(event.id, metrics=metrics)
            client.log_dict(event.id, judgement.decision.as_dict(), "decision.json")
            figure = decision_picture(judgement)
            client.log_figure(event.id, figure, "decision.png")
            plt.close(figure)
    except WorkshopError as error:
        _log.warning("The decision is recorded, but without its pictures: %s", error)


def _no_comparison(decision: Decision) -> Figure:
    figure, axes = plt.subplots(figsize=(11, 1.6 + 0.6 * len(decision.vetoes)))
    axes.set_axis_off()
    axes.set_title("Nothing was compared", color=CANDIDATE)
    text = "\n\n".join(textwrap.fill(f"✗ {guard.name}: {guard.finding}", 110) for guard in decision.vetoes)
    axes.text(0, 0.95, text, va="top", fontsize=10)
    figure.tight_layout()
    return figure


def _draw_roc_curves(axes: Axes, judgement: Judgement) -> None:
    champion = f"champion (version {judgement.champion_version})"
    # The candidate is dashed and on top, so that both curves are seen where they are equal.
    curves: list[tuple[str, np.ndarray | None, float | None, dict[str, Any]]] = [
        (champion, judgement.champion, judgement.decision.auc_champion, {"color": CHAMPION, "linewidth": 4}),
        (
            "candidate",
            judgement.candidate,
            judgement.decision.auc_candidate,
            {"color": CANDIDATE, "linestyle": (0, (4, 3))},
        ),
    ]
    for name, scores, auc, style in curves:
        if scores is not None:
            false_positives, true_positives, _ = roc_curve(judgement.target, scores)
            axes.plot(false_positives, true_positives, label=f"{name}: AUC {auc:.4f}", **{"linewidth": 2, **style})
    axes.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", linewidth=1)
    axes.set(title="ROC on the same wines", xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.legend(loc="lower right", fontsize=9)


def _draw_difference(axes: Axes, decision: Decision) -> None:
    axes.set(
        title="Is it better?", xlabel="AUC of the candidate minus AUC of the champion", yticks=[], ylim=(-0.6, 0.6)
    )
    if decision.difference is None or decision.lower_bound is None or decision.upper_bound is None:
        axes.set(xticks=[], xlim=(-1, 1))
        _label(axes, 0, 0, "No model holds Production yet:\nnothing to compare with", NEUTRAL)
        return
    lower, upper, threshold = decision.lower_bound, decision.upper_bound, decision.min_improvement
    first, last = min(lower, threshold), max(upper, threshold)
    margin = 0.02 + 0.25 * (last - first)
    exceeds = lower > threshold
    # The label of the bound stands on the bound's side of the threshold, and is as wide as two margins.
    left = first - (margin if exceeds else 2 * margin)
    right = max(last, lower + margin) + margin
    colour = BETTER if decision.passed else CANDIDATE
    axes.set(xlim=(left, right))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.axvspan(threshold, right, color=BETTER, alpha=0.08)
    axes.axvline(threshold, color=NEUTRAL, linestyle="--", linewidth=1.5)
    axes.plot([lower, upper], [0, 0], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([lower, lower], [-0.07, 0.07], color=colour, linewidth=3)
    axes.plot(decision.difference, 0, "o", color=colour, markersize=10)
    _label(axes, decision.difference, 0.14, f"{decision.difference:+.4f}", colour, weight="bold")
    _label(
        axes,
        lower,
        -0.2,
        f"{percent(decision.confidence)} lower bound\n{lower:+.4f}",
        colour,
        ha="left" if exceeds else "right",
    )
    side = "left" if threshold - left < right - threshold else "right"  # where there is more room
    _label(axes, threshold, 0.53, f" must exceed {threshold:g} ", NEUTRAL, ha=side)


def _label(axes: Axes, x: float, y: float, text: str, colour: str, **style: Any) -> None:
    # The box keeps the line of the threshold from crossing the text.
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
    axes.text(x, y, text, color=colour, bbox=box, **{"ha": "center", "va": "center", "fontsize": 9.5, **style})


def _figures(decision: Decision) -> dict[str, float]:
    """Collect the numbers of a decision, those of a guard under its name."""
    figures = {name: value for name, value in decision.as_dict().items() if isinstance(value, int | float)}
    for guard in decision.guards:
        name = "".join(letter if letter.isalnum() else "_" for letter in guard.name)
        figures |= {f"guards/{name}/{figure}": value for figure, value in guard.figures.items()}
        figures |= {} if guard.passed is None else {f"guards/{name}/passed": float(guard.passed)}
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
