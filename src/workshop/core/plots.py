"""The pictures that more than one reader needs: in a notebook, in the report, on an MLflow run."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from workshop.core.gate import Decision
from workshop.core.promotion import Judgement

CANDIDATE = "#8a1c4a"
CHAMPION = "#3b6ea5"
NEUTRAL = "#6b7280"


def use_workshop_style() -> None:
    """Give every plot of a notebook the kit's look."""
    sns.set_theme(style="whitegrid", palette=[CANDIDATE, CHAMPION, "#c99a2e", "#4d7c5b"])
    plt.rcParams.update({"figure.dpi": 110, "axes.titleweight": "bold", "axes.titlelocation": "left"})


def decision_picture(judgement: Judgement) -> Figure:
    """Both ROC curves, and the AUC difference with its confidence bounds against the threshold."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), width_ratios=[1, 1.15])
    _draw_roc_curves(left, judgement)
    _draw_difference(right, judgement.decision)
    figure.tight_layout()
    return figure


def feature_importances(classifier: Any, names: list[str]) -> Figure:
    """How much the classifier says that each feature contributes, largest first."""
    importances = pd.Series(classifier.feature_importances_, index=names).sort_values()
    figure, axes = plt.subplots(figsize=(7, 4.2))
    axes.barh([name.replace("_", " ") for name in importances.index], importances.to_numpy(), color=CANDIDATE)
    axes.set(title="What the model looks at", xlabel="importance")
    figure.tight_layout()
    return figure


def score_distributions(
    latest: np.ndarray, latest_label: str, earlier: np.ndarray | None, earlier_label: str
) -> Figure:
    """The share of predictions in each part of [0, 1], for the latest batch and the one before it.

    Args:
        latest: counts per bin, bins of equal width.
        latest_label: what the legend calls it.
        earlier: the same for the batch before, or None for the first batch.
        earlier_label: what the legend calls that.
    """
    edges = np.linspace(0, 1, len(latest) + 1)
    figure, axes = plt.subplots(figsize=(8, 4))
    axes.stairs(latest / latest.sum(), edges, fill=True, color=CANDIDATE, alpha=0.55, label=latest_label)
    if earlier is not None:
        axes.stairs(earlier / earlier.sum(), edges, color=CHAMPION, linewidth=2, label=earlier_label)
    axes.set(
        title="How good the model thinks the wines are",
        xlabel="predicted probability of high quality",
        ylabel="share of wines",
    )
    axes.legend()
    figure.tight_layout()
    return figure


def _draw_roc_curves(axes: Axes, judgement: Judgement) -> None:
    decision = judgement.decision
    _draw_roc_curve(
        axes, judgement.target, judgement.candidate, f"candidate: AUC {decision.auc_candidate:.4f}", CANDIDATE
    )
    if judgement.champion is not None:
        label = f"champion (version {judgement.champion_version}): AUC {decision.auc_champion:.4f}"
        _draw_roc_curve(axes, judgement.target, judgement.champion, label, CHAMPION)
    axes.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", linewidth=1)
    axes.set(title="ROC on the same wines", xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.legend(loc="lower right", fontsize=9)


def _draw_roc_curve(axes: Axes, target: np.ndarray, scores: np.ndarray, label: str, colour: str) -> None:
    false_positives, true_positives, _ = roc_curve(target, scores)
    axes.plot(false_positives, true_positives, color=colour, linewidth=2, label=label)


def _draw_difference(axes: Axes, decision: Decision) -> None:
    axes.set(title="Is it better?", xlabel="AUC of the candidate minus AUC of the champion", yticks=[])
    if decision.difference is None or decision.lower_bound is None or decision.upper_bound is None:
        axes.text(
            0.5,
            0.5,
            "No model holds Production yet:\nnothing to compare with",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=NEUTRAL,
        )
        axes.set(xticks=[])
        return
    colour = "#1b6e3c" if decision.passed else CANDIDATE
    axes.axvspan(
        decision.min_improvement,
        max(decision.upper_bound, decision.min_improvement) + 0.02,
        color="#1b6e3c",
        alpha=0.08,
    )
    axes.axvline(decision.min_improvement, color=NEUTRAL, linestyle="--", linewidth=1.5)
    axes.plot([decision.lower_bound, decision.upper_bound], [0, 0], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([decision.lower_bound] * 2, [-0.08, 0.08], color=colour, linewidth=3)
    axes.plot(decision.difference, 0, "o", color=colour, markersize=10)
    axes.annotate(f"{decision.difference:+.4f}", (decision.difference, 0.1), ha="center", color=colour, weight="bold")
    axes.annotate(
        f"at least {decision.lower_bound:+.4f}\n({decision.confidence:.1%} sure)",
        (decision.lower_bound, -0.14),
        ha="center",
        va="top",
        color=colour,
        fontsize=9,
    )
    axes.annotate(
        f"must exceed {decision.min_improvement:g}",
        (decision.min_improvement, 0.52),
        ha="center",
        color=NEUTRAL,
        fontsize=9,
    )
    margin = 0.02
    axes.set(
        ylim=(-0.6, 0.6),
        xlim=(
            min(decision.lower_bound, decision.min_improvement) - margin,
            max(decision.upper_bound, decision.min_improvement) + margin,
        ),
    )
