import itertools
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.ensemble import RandomForestClassifier

from workshop.core.data.schemas import FEATURES
from workshop.core.parameters import Terms
from workshop.core.promotion import gate, plots
from workshop.core.promotion.drift import LARGE, MODERATE
from workshop.core.promotion.event import Event
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.outcome import Guard, Kind


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    """Draw into memory, in the style of the notebooks; restore the style and close the figures afterwards."""
    with mpl.rc_context():
        plt.switch_backend("agg")
        plots.use_workshop_style()
        yield
        plt.close("all")


def judgement(champion: bool) -> Judgement:
    random = np.random.default_rng(3)
    target = np.repeat([0, 1], [150, 50])
    good, fair = (np.clip(0.4 * target + random.random(200) * spread, 0, 1) for spread in (0.5, 0.6))
    compared, version = (fair, "4") if champion else (None, None)
    decision = gate.decide(target, good, compared, Terms(min_improvement=0.01))
    return Judgement(decision, version, target, good, compared)


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    found = [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title]]
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            found += [text.get_text() for text in legend.get_texts()]
    return "\n".join([*found, *(axes.get_title(loc="left") for axes in figure.axes)])


def test_the_picture_of_a_decision_shows_both_models_and_the_figures() -> None:
    judged = judgement(champion=True)
    difference, lower, upper = judged.decision.difference, judged.decision.lower_bound, judged.decision.upper_bound
    assert difference is not None and lower is not None and upper is not None
    figure = plots.decision_picture(judged)
    left, right = figure.axes[1].get_xlim()
    assert left < min(lower, 0.01) < max(upper, 0.01) < right
    shown = texts(figure)
    assert f"{judged.decision.auc_candidate:.4f}" in shown
    assert f"{judged.decision.auc_champion:.4f}" in shown
    assert "version 4" in shown
    assert f"{difference:+.4f}" in shown


def test_the_picture_of_a_baseline_shows_no_champion() -> None:
    shown = texts(plots.decision_picture(judgement(champion=False)))
    assert "No model holds Production yet" in shown
    assert "version" not in shown


def test_the_picture_of_a_refused_candidate_names_the_failed_guards() -> None:
    finding = "Version 2 takes other input columns than version 1 in Production: " + 30 * "train it anew, " + "at once."
    failed = [Guard("loads", True, "It was loaded.", "callers"), Guard("same inputs", False, finding, "callers")]
    target = np.repeat([0, 1], 10)
    decision = gate.decide(target, None, None, Terms(), checked=failed)
    figure = plots.decision_picture(Judgement(decision, "1", target))
    shown = texts(figure)
    assert "Nothing was compared" in shown
    assert f"same inputs: {finding}" in shown.replace("\n", " ")
    assert "It was loaded." not in shown
    assert "No model holds Production" not in shown
    page = figure.get_window_extent()
    (text,) = figure.axes[0].texts
    box = text.get_window_extent()
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1
    scores = np.linspace(0, 1, 20)
    decision = gate.decide(np.zeros(20, dtype="int64"), scores, scores, Terms())  # refused after its answers
    shown = texts(plots.decision_picture(Judgement(decision, "4", np.zeros(20), scores, scores)))
    assert "Nothing was compared" in shown
    assert "No model holds Production yet" not in shown


@pytest.mark.parametrize("min_improvement", [0.0, 0.1234])
@pytest.mark.parametrize("shift", [-1.0, -0.3, -0.01, 0.0, 0.01, 0.3, 1.0])
def test_labels_and_ticks_of_the_difference_stay_in_the_axes_and_apart(shift: float, min_improvement: float) -> None:
    random = np.random.default_rng(3)
    target = np.repeat([0, 1], [150, 50])
    champion = np.clip(0.3 + 0.2 * target + 0.3 * random.random(200), 0, 1)
    candidate = np.clip(champion + shift * target, 0, 1)
    decision = gate.decide(target, candidate, champion, Terms(min_improvement=min_improvement))
    figure = plots.decision_picture(Judgement(decision, "1", target, candidate, champion))
    figure.canvas.draw()
    axes = figure.axes[1]
    within = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert within.x0 <= box.x0 < box.x1 <= within.x1, text.get_text()
        if "lower bound" in text.get_text():
            threshold, _ = axes.transData.transform((min_improvement, 0))
            assert box.x1 <= threshold or threshold <= box.x0
    shown = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(shown))


# Drift


def test_the_largest_drift_is_on_top_and_each_has_the_colour_of_its_size() -> None:
    drift = {"free_sulfur_dioxide": LARGE + 0.5, "alcohol": 0.01, "ph": MODERATE + 0.01}
    axes = plots.drift_picture(drift).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["alcohol", "pH", "free sulfur dioxide"]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == sorted(drift.values())
    assert len({bar.get_facecolor() for bar in bars}) == 3
    assert axes.get_xlim()[1] > max(drift.values())
    without = plots.drift_picture({"alcohol": 0.0, "ph": 0.0})
    assert without.axes[0].get_xlim()[1] > LARGE
    assert "moderate" in texts(without) and "large" in texts(without)


# The history


def event(kind: Kind, version: str, difference: float | None = None, **fields: Any) -> Event:
    """Return an event, with a comparison if its difference is given."""
    decision = None
    if difference is not None:
        decision = {"difference": difference, "lower_bound": difference - 0.02, "upper_bound": difference + 0.02}
    defaults = {"champion": None, "reason": "", "who": "ana", "git_commit": "0"}
    return Event(kind=kind, version=version, decision=decision, **{**defaults, **fields})


STORY = [
    event("refusal", "1"),
    event("promotion", "2"),
    event("staging", "3", difference=0.04),
    event("promotion", "3", champion="2", difference=0.04),
    event("rejection", "4", champion="3", difference=-0.01),
    event("promotion", "5", champion="3", difference=0.03, state="returned"),
    event("promotion", "6", champion="3", difference=0.03, state="dropped"),
    event("rollback", "2", champion="3"),
    event("override", "4", champion="2"),
]


def test_the_history_shows_the_holder_of_production_after_each_event() -> None:
    top, _ = plots.history_picture(STORY).axes
    held = np.asarray(top.lines[0].get_ydata(), dtype="float64")
    np.testing.assert_array_equal(held, [np.nan, 2, 2, 3, 3, 3, 3, 2, 4, 4])


def test_the_history_marks_each_kind_of_event_at_its_version() -> None:
    top, _ = plots.history_picture(STORY).axes
    marked = {str(each.get_label()): np.asarray(each.get_offsets()).tolist() for each in top.collections}
    assert marked == {
        "promotion": [[2, 2], [4, 3]],
        "promotion, undone": [[6, 5], [7, 6]],
        "override": [[9, 4]],
        "rollback": [[8, 2]],
        "staging": [[3, 3]],
        "rejection": [[5, 4]],
        "refusal": [[1, 1]],
    }
    legend = top.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == set(marked)


def test_the_history_shows_the_bounds_of_each_comparison() -> None:
    _, bottom = plots.history_picture(STORY).axes
    lines = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in bottom.lines]
    bars = [(x[0], *y) for x, y in lines if len(x) == 2 and x[0] == x[1]]
    dots = [(x[0], y[0]) for x, y in lines if len(x) == 1]
    assert dots == [(3, 0.04), (4, 0.04), (5, -0.01), (6, 0.03), (7, 0.03)]
    assert bars == [(x, y - 0.02, y + 0.02) for x, y in dots]


@pytest.mark.parametrize("count", [1, 100])
def test_a_short_history_and_a_long_one_can_be_drawn(count: int) -> None:
    figure = plots.history_picture([event("rejection", str(number)) for number in range(1, count + 1)])
    figure.canvas.draw()
    assert 1 <= len(figure.axes[1].get_xticks()) <= 13


# The model and its scores


def test_the_most_important_feature_is_on_top(classifiers: dict[str, RandomForestClassifier]) -> None:
    axes = plots.feature_importances(classifiers["first"], FEATURES).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "alcohol"
    assert len(names) == len(FEATURES)


@pytest.mark.parametrize("earlier", [None, np.array([50, 0, 50])])
def test_score_distributions_are_drawn_as_shares(earlier: np.ndarray | None) -> None:
    axes = plots.score_distributions(np.array([10, 20, 10]), "today", earlier, "yesterday").axes[0]
    drawn = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    assert len(drawn) == (1 if earlier is None else 2)
    assert [sum(patch.get_data().values) for patch in drawn] == pytest.approx([1.0] * len(drawn))
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["today", "yesterday"][: len(drawn)]
