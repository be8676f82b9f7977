from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from tests.support.models import MODEL, answering
from workshop.core.data import datasets
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.schemas import FEATURES
from workshop.core.promotion import guards
from workshop.core.promotion.auc import Comparison, PairedScores, compare_auc
from workshop.core.promotion.outcome import Guard
from workshop.core.registry.model import LoadedModel


def check(guard: Guard, passed: bool, *words: str) -> None:
    """Expect that result, with one sentence that has these words."""
    assert guard.passed is passed
    assert guard.finding.endswith(".") and not guard.finding.endswith("..")
    assert ". " not in guard.finding and "\n" not in guard.finding
    for word in words:
        assert word in guard.finding


# The wines


def test_wines_that_look_as_they_should_fit(originals: pd.DataFrame, production: pd.DataFrame) -> None:
    wines = datasets.split_off_production(originals, 42)[1]
    for frame in (wines, production):
        guard = guards.fits_schema(Snapshot("production", 0, frame, ""))
        check(guard, True, f"{len(frame):,} rows")
        assert guard.figures == {"rows": len(frame)}
        assert guard.protects == "callers"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda wines: wines.assign(alcohol=99.0), ["alcohol", "99.0"]),
        (lambda wines: wines.drop(columns="density"), ["density", "missing"]),
        (lambda wines: wines.iloc[:0], ["no rows"]),
        (lambda wines: wines.assign(is_high_quality=3), ["is_high_quality", "3"]),
    ],
    ids=["out of range", "missing column", "no rows", "bad label"],
)
def test_wines_that_do_not_fit_are_refused_with_the_reason(
    production: pd.DataFrame, edit: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    check(guards.fits_schema(Snapshot("production", 4, edit(production), "")), False, "production@4", *words)


@pytest.mark.parametrize(("positives", "enough"), [(0, False), (1, False), (2, True), (8, True), (9, False)])
def test_two_wines_of_either_kind_are_needed(positives: int, enough: bool) -> None:
    guard = guards.both_classes(np.array([1] * positives + [0] * (10 - positives)))
    check(guard, enough, str(positives), "10")
    assert guard.figures == {"positives": positives, "negatives": 10 - positives}
    assert guard.protects == "callers"


# The candidate


def taking(version: str, columns: dict[str, str] | None) -> LoadedModel:
    """A model that says that it takes these columns of these types, or says nothing."""
    loaded = replace(answering(lambda wines: np.zeros(len(wines))), version=version)
    if columns is not None:
        inputs = Schema([ColSpec(kind, name) for name, kind in columns.items()])
        loaded.pyfunc.signature = ModelSignature(inputs=inputs)
    return loaded


BOTH = {"alcohol": "double", "ph": "double"}


@pytest.mark.parametrize(
    "champion",
    [None, taking("1", None), taking("1", BOTH)],
    ids=["no champion", "a champion that does not say", "a champion that takes the same"],
)
def test_a_candidate_that_takes_what_callers_send_passes(champion: LoadedModel | None) -> None:
    guard = guards.same_inputs(taking("2", BOTH), champion)
    check(guard, True, "2 columns")
    assert guard.figures == {"columns": 2}


@pytest.mark.parametrize(
    "columns",
    [{"alcohol": "double"}, {**BOTH, "price": "double"}, {"alcohol": "double", "ph": "string"}],
    ids=["one fewer", "one more", "another type"],
)
def test_a_candidate_that_takes_something_else_would_break_callers(columns: dict[str, str]) -> None:
    guard = guards.same_inputs(taking("2", columns), taking("1", BOTH))
    check(guard, False, "Version 2", "version 1", "alcohol (double)", "ph (double)")
    assert guard.protects == "callers"


@pytest.mark.parametrize("champion", [None, taking("1", BOTH)], ids=["no champion", "a champion"])
def test_a_candidate_that_does_not_say_what_it_takes_is_refused(champion: LoadedModel | None) -> None:
    check(guards.same_inputs(taking("2", None), champion), False, "Version 2", "signature")


def test_a_candidate_that_only_says_what_it_gives_does_not_say_what_it_takes() -> None:
    candidate = taking("2", None)
    candidate.pyfunc.signature = ModelSignature(outputs=Schema([ColSpec("double")]))
    check(guards.same_inputs(candidate, None), False, "Version 2", "signature")


def test_a_version_is_loaded_by_its_number(registry: MlflowClient, production: pd.DataFrame) -> None:
    guard, loaded = guards.loads(registry, MODEL, "3")
    check(guard, True, "Version 3")
    assert loaded is not None
    assert guards.answers_properly(loaded, production)[0].passed
    guard, loaded = guards.loads(registry, MODEL, "99")
    check(guard, False, "version 99")
    assert loaded is None


def test_probabilities_are_proper_answers(production: pd.DataFrame) -> None:
    guard, answers = guards.answers_properly(
        answering(lambda _: np.array([0.0, 0.25, 0.5, 1.0])), production.head(4)[FEATURES]
    )
    check(guard, True, "4 answers", "0.000", "1.000")
    assert guard.figures == {"least": 0, "greatest": 1}
    assert answers is not None
    assert answers.tolist() == [0, 0.25, 0.5, 1]


GOOD = [0.0, 0.4, 0.6, 1.0]
BAD_ANSWERS = [
    (GOOD[:3], ["(3,)", "4 rows"]),
    ([[each] for each in GOOD], ["(4, 1)", "4 rows"]),
    ([0.0, np.nan, 0.6, 1.0], ["1 of 4", "NaN"]),
    ([0.0, 0.4, np.inf, np.inf], ["2 of 4", "infinity"]),
    ([0.0, 0.4, 0.6, 1.5], ["0 to 1.5", "0 to 1."]),
    ([-0.25, 0.4, 0.6, 1.0], ["-0.25 to 1", "0 to 1."]),
]


@pytest.mark.parametrize(("answers", "words"), BAD_ANSWERS)
def test_anything_else_is_not(production: pd.DataFrame, answers: list[float], words: list[str]) -> None:
    guard, given_back = guards.answers_properly(answering(lambda _: np.array(answers)), production.head(4))
    check(guard, False, "candidate, version 7,", *words)
    assert given_back is None


def test_a_candidate_that_raises_is_refused(production: pd.DataFrame) -> None:
    def raise_it(_: pd.DataFrame) -> np.ndarray:
        raise ValueError("the cork\nis stuck")

    guard, answers = guards.answers_properly(answering(raise_it), production.head(4))
    check(guard, False, "version 7", "the cork is stuck")
    assert answers is None


# Enough rows


def rows_of(positives: int, negatives: int) -> np.ndarray:
    return np.repeat([1, 0], [positives, negatives])


def measured(standard_error: float) -> Comparison:
    return Comparison(0.85, 0.8, 0.05, standard_error, 0.0)


@pytest.mark.parametrize(
    ("standard_error", "positives", "needed", "negatives_needed"),
    [
        # ((1.959964 + 0.841621) * 0.01 / 0.05)² is 0.313955: of 200 and 800 rows, 62.8 and 251.2.
        (0.01, 200, 63, 252),
        # Three times the error takes nine times the rows: 565.1 and 2260.5.
        (0.03, 200, 566, 2261),
        # Never fewer than 30 of either kind, where 18.8 of 60 would do.
        (0.01, 60, 30, 252),
        (0.0, 200, 30, 30),
    ],
)
def test_the_rows_needed_are_the_ones_of_a_hand_computation(
    standard_error: float, positives: int, needed: int, negatives_needed: int
) -> None:
    guard = guards.enough_rows(rows_of(positives, 800), measured(standard_error), 0.05, 0.975)
    enough = positives >= needed and negatives_needed <= 800
    check(guard, enough, "0.05", "80%", f"{needed:,} wines", f"{negatives_needed:,} others", f"{positives:,} and 800")
    assert ("detectable_improvement" in guard.finding) != enough
    assert guard.protects == "verdict"
    assert guard.figures == {
        "positives": positives,
        "negatives": 800,
        "positives_needed": needed,
        "negatives_needed": negatives_needed,
    }


@pytest.mark.parametrize(("positives", "negatives", "enough"), [(30, 30, True), (29, 500, False), (500, 29, False)])
def test_below_thirty_of_either_kind_no_verdict_is_trusted(positives: int, negatives: int, enough: bool) -> None:
    check(guards.enough_rows(rows_of(positives, negatives), measured(1e-6), 0.1, 0.975), enough, "30")


@given(st.floats(0.001, 0.1), st.floats(0.01, 0.4), st.floats(0.51, 0.99))
def test_a_smaller_improvement_or_more_confidence_takes_no_fewer_rows(
    standard_error: float, difference: float, confidence: float
) -> None:
    def needed(difference: float, confidence: float) -> float:
        guard = guards.enough_rows(rows_of(200, 800), measured(standard_error), difference, confidence)
        return guard.figures["positives_needed"]

    asked = needed(difference, confidence)
    assert needed(difference / 2, confidence) >= asked
    assert needed(difference, confidence + 0.009) >= asked


# Slices


def worse_on_reds() -> tuple[PairedScores, dict[str, np.ndarray]]:
    """Two models alike on 300 white wines, of which the candidate is much the worse on 200 red ones."""
    random = np.random.default_rng(8)
    target = np.tile([0, 0, 0, 1], 125)
    red = np.arange(len(target)) < 200
    signal = target + random.normal(0, 0.7, len(target))
    champion = signal + random.normal(0, 0.3, len(target))
    candidate = signal + random.normal(0, np.where(red, 2.0, 0.3))
    return PairedScores(target, candidate, champion), {"red wines": red, "white wines": ~red}


def test_a_slice_that_is_worse_is_vetoed_and_the_other_is_not() -> None:
    scores, parts = worse_on_reds()
    red, white = guards.no_slice_worse(scores, parts, 0.975, 0.01)
    expected = compare_auc(*(each[parts["red wines"]] for each in (scores.target, scores.candidate, scores.champion)))
    upper = expected.upper_bound(0.975)
    assert (red.name, white.name) == ("not worse on red wines", "not worse on white wines")
    figures = [f"{expected.auc_candidate:.4f}", f"{expected.auc_champion:.4f}", f"{upper:+.4f}", "97.5%"]
    check(red, False, "red wines", *figures, "must be at least -0.01")
    check(white, True, "white wines", "97.5%")
    assert red.protects == white.protects == "verdict"
    assert red.figures == {
        "positives": 50,
        "negatives": 150,
        "auc_candidate": expected.auc_candidate,
        "auc_champion": expected.auc_champion,
        "difference": expected.difference,
        "upper_bound": upper,
    }


def test_the_tolerance_shifts_the_limit() -> None:
    scores, parts = worse_on_reds()
    red = {"red wines": parts["red wines"]}
    lost = -guards.no_slice_worse(scores, red, 0.975, 0.0)[0].figures["upper_bound"]
    assert lost > 0.01
    for tolerance, passed in ((0.0, False), (lost - 1e-9, False), (lost, True), (lost + 1e-9, True), (0.4, True)):
        check(guards.no_slice_worse(scores, red, 0.975, tolerance)[0], passed)
    check(guards.no_slice_worse(scores, red, 0.975, 0.0)[0], False, "must be at least 0")


def test_a_slice_is_not_vetoed_for_what_may_be_chance() -> None:
    scores, parts = worse_on_reds()
    lost = -guards.no_slice_worse(scores, parts, 0.6, 0.0)[0].figures["upper_bound"]
    check(guards.no_slice_worse(scores, parts, 0.6, lost - 1e-3)[0], False, "60%")
    check(guards.no_slice_worse(scores, parts, 0.999, lost - 1e-3)[0], True, "99.9%")


@pytest.mark.parametrize(
    ("positives", "negatives", "passed"), [(0, 0, True), (9, 50, True), (50, 9, True), (10, 10, False)]
)
def test_a_slice_too_small_to_tell_passes_with_a_note(positives: int, negatives: int, passed: bool) -> None:
    target = rows_of(positives, negatives)
    scores = PairedScores(target, 1.0 - target, 1.0 * target)  # all wrong, against all right
    (guard,) = guards.no_slice_worse(scores, {"sweet wines": np.full(len(target), True)}, 0.975, 0.01)
    check(guard, passed, "sweet wines")
    assert ("too few to tell" in guard.finding) == passed
    assert (guard.figures["positives"], guard.figures["negatives"]) == (positives, negatives)
    if passed:
        assert f"{positives} sweet wines" in guard.finding and f"{negatives} others" in guard.finding


def test_without_slices_nothing_is_looked_at() -> None:
    assert guards.no_slice_worse(worse_on_reds()[0], {}, 0.975, 0.01) == []
