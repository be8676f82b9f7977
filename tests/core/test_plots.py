from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestClassifier

from workshop.core import gate, plots
from workshop.core.promotion import Judgement
from workshop.core.schemas import FEATURES


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    """Draw into memory, and forget the style and the figures afterwards."""
    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def judgement(champion: bool) -> Judgement:
    random = np.random.default_rng(3)
    target = np.repeat([0, 1], [150, 50])
    good, fair = (np.clip(0.4 * target + random.random(200) * spread, 0, 1) for spread in (0.5, 0.6))
    compared = fair if champion else None
    return Judgement(
        gate.decide(target, good, compared, 0.975, 0.01), "4" if champion else None, target, good, compared
    )


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    found = [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title]]
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            found += [text.get_text() for text in legend.get_texts()]
    return "\n".join([*found, *(axes.get_title(loc="left") for axes in figure.axes)])


def test_the_picture_of_a_decision_has_both_models_and_the_figures() -> None:
    judged = judgement(champion=True)
    assert judged.decision.difference is not None
    shown = texts(plots.decision_picture(judged))
    assert f"{judged.decision.auc_candidate:.4f}" in shown
    assert f"{judged.decision.auc_champion:.4f}" in shown
    assert "version 4" in shown
    assert f"{judged.decision.difference:+.4f}" in shown


def test_the_picture_of_a_baseline_says_that_there_is_nothing_to_compare_with() -> None:
    shown = texts(plots.decision_picture(judgement(champion=False)))
    assert "No model holds Production yet" in shown
    assert "version" not in shown


def test_the_bounds_of_the_difference_are_inside_the_picture() -> None:
    judged = judgement(champion=True)
    axes: Axes = plots.decision_picture(judged).axes[1]
    low, high = axes.get_xlim()
    assert judged.decision.lower_bound is not None and judged.decision.upper_bound is not None
    assert low < min(judged.decision.lower_bound, 0.01) < max(judged.decision.upper_bound, 0.01) < high


def test_the_most_important_feature_is_on_top(classifiers: dict[str, RandomForestClassifier]) -> None:
    axes = plots.feature_importances(classifiers["first"], FEATURES).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "alcohol"
    assert len(names) == len(FEATURES)


@pytest.mark.parametrize("earlier", [None, np.array([50, 0, 50])])
def test_distributions_are_drawn_as_shares(earlier: np.ndarray | None) -> None:
    axes = plots.score_distributions(np.array([10, 20, 10]), "today", earlier, "yesterday").axes[0]
    drawn = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    assert len(drawn) == (1 if earlier is None else 2)
    assert [sum(patch.get_data().values) for patch in drawn] == pytest.approx([1.0] * len(drawn))
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["today", "yesterday"][: len(drawn)]
