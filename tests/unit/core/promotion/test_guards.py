from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from tests.support.models import MODEL, answering
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.promotion import guards
from workshop.core.promotion.auc import Comparison, PairedScores, compare_auc
from workshop.core.promotion.outcome import Guard
from workshop.core.registry.model import LoadedModel


def check(guard: Guard, passed: bool | None, *words: str) -> None:
    """Require that result, in one sentence that contains these words."""
    assert guard.passed is passed
    assert guard.finding.endswith(".") and not guard.finding.endswith("..")
    assert ". " not in guard.finding and "\n" not in guard.finding
    for word in words:
        assert word in guard.finding


# The wines


def test_wines_with_or_without_a_label_fit(production: pd.DataFrame) -> None:
    for frame in (production.drop(columns=TARGET), production):
        guard = guards.fits_schema(Snapshot("production", 0, frame, ""))
        check(guard, True, f"{len(frame):,} rows")
        assert guard.figures == {"rows": len(frame)}
        assert guard.protects == "callers"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda wines: wines.assign(alcohol=99.0), ["alcohol", "99.0"]),
        (lambda wines: wines.assign(is_high_quality=3), ["is_high_quality", "3"]),
    ],
    ids=["out of range", "bad label"],
)
def test_wines_that_do_not_fit_are_refused_with_the_reason(
    production: pd.DataFrame, edit: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    check(guards.fits_schema(Snapshot("production", 4, edit(production), "")), False, "production@4", *words)


@pytest.mark.parametrize(("positives", "enough"), [(0, False), (1, False), (2, True), (8, True), (9, False)])
def test_two_wines_of_either_kind_are_needed(positives: int, enough: bool) -> None:
    guard = guards.both_classes(np.array([1] * positives + [0] * (10 - positives)))
    check(guard, enough, f"{positives} wines of high quality and {10 - positives} others (needs 2 and 2)")
    assert guard.figures == {"positives": positives, "negatives": 10 - positives}
    assert guard.protects == "callers"


# The candidate


def taking(version: str, columns: dict[str, str] | None) -> LoadedModel:
    """Return a model with these input columns and types in its signature, or without a signature."""
    loaded = replace(answering(lambda wines: np.zeros(len(wines))), version=version)
    if columns is not None:
        inputs = Schema([ColSpec(kind, name) for name, kind in columns.items()])
        loaded.pyfunc.signature = ModelSignature(inputs=inputs)
    return loaded


BOTH = {"alcohol": "double", "ph": "double"}


@pytest.mark.parametrize(
    "champion",
    [None, taking("1", None), taking("1", BOTH)],
    ids=["no champion", "a champion without a signature", "a champion with the same columns"],
)
def test_a_candidate_with_the_inputs_of_the_champion_passes(champion: LoadedModel | None) -> None:
    guard = guards.same_inputs(taking("2", BOTH), champion)
    check(guard, True, "2 columns")
    assert guard.figures == {"columns": 2}


@pytest.mark.parametrize(
    "columns",
    [{"alcohol": "double"}, {**BOTH, "price": "double"}, {"alcohol": "double", "ph": "string"}],
    ids=["one fewer", "one more", "another type"],
)
def test_a_candidate_with_other_inputs_would_break_callers(columns: dict[str, str]) -> None:
    guard = guards.same_inputs(taking("2", columns), taking("1", BOTH))
    check(guard, False, "Version 2", "version 1", "alcohol (double)", "ph (double)")
    assert guard.protects == "callers"


@pytest.mark.parametrize("champion", [None, taking("1", BOTH)], ids=["no champion", "a champion"])
def test_a_candidate_without_inputs_in_its_signature_is_refused(champion: LoadedModel | None) -> None:
    candidate = taking("2", None)
    check(guards.same_inputs(candidate, champion), False, "Version 2", "signature")
    candidate.pyfunc.signature = ModelSignature(outputs=Schema([ColSpec("double")]))
    check(guards.same_inputs(candidate, champion), False, "Version 2", "signature")


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


def stuck(_: pd.DataFrame) -> np.ndarray:
    raise ValueError("the cork\nis stuck")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: np.zeros(3), ["(3,)", "4 rows"]),
        (lambda _: np.zeros((4, 1)), ["(4, 1)", "4 rows"]),
        (lambda _: np.array([0.0, np.nan, 0.6, 1.0]), ["1 of 4", "NaN"]),
        (lambda _: np.array([0.0, 0.4, np.inf, np.inf]), ["2 of 4", "infinity"]),
        (lambda _: np.array([0.0, 0.4, 0.6, 1.5]), ["0 to 1.5", "0 to 1."]),
        (lambda _: np.array([-0.25, 0.4, 0.6, 1.0]), ["-0.25 to 1", "0 to 1."]),
        (stuck, ["the cork is stuck"]),
    ],
)
def test_other_answers_are_refused(
    production: pd.DataFrame, answer: Callable[[pd.DataFrame], np.ndarray], words: list[str]
) -> None:
    guard, answers = guards.answers_properly(answering(answer), production.head(4))
    check(guard, False, "version 7", *words)
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
        (0.0, 29, 30, 30),
    ],
)
def test_the_rows_needed_are_the_ones_of_a_hand_computation(
    standard_error: float, positives: int, needed: int, negatives_needed: int
) -> None:
    guard = guards.enough_rows(rows_of(positives, 800), measured(standard_error), 0.05, 0.975)
    enough = positives >= needed and negatives_needed <= 800
    counts = f"{positives:,} wines of high quality and 800 others (needs {needed:,} and {negatives_needed:,} "
    check(guard, enough, counts, "improvement of 0.05 with 80 % probability)")
    assert ("detectable_improvement" in guard.finding) != enough
    assert guard.protects == "verdict"
    assert guard.figures == {
        "positives": positives,
        "negatives": 800,
        "positives_needed": needed,
        "negatives_needed": negatives_needed,
    }


# Slices


def worse_on_reds() -> tuple[PairedScores, dict[str, np.ndarray]]:
    """Score two models that are equal on 300 white wines; the candidate is much worse on 200 red ones."""
    random = np.random.default_rng(8)
    target = np.tile([0, 0, 0, 1], 125)
    red = np.arange(len(target)) < 200
    signal = target + random.normal(0, 0.7, len(target))
    champion = signal + random.normal(0, 0.3, len(target))
    candidate = signal + random.normal(0, np.where(red, 2.0, 0.3))
    return PairedScores(target, candidate, champion), {"red wines": red, "white wines": ~red}


def test_only_the_worse_slice_is_vetoed() -> None:
    scores, parts = worse_on_reds()
    red, white = guards.no_slice_worse(scores, parts, 0.975, 0.01)
    expected = compare_auc(*(each[parts["red wines"]] for each in (scores.target, scores.candidate, scores.champion)))
    upper = expected.upper_bound(0.975)
    assert (red.name, white.name) == ("not worse on red wines", "not worse on white wines")
    areas = f"AUC {expected.auc_candidate:.3f} vs {expected.auc_champion:.3f} on red wines: {expected.difference:+.3f}"
    figures = f"{areas} (97.5 % upper bound {upper:+.3f}; needs ≥ -0.01)"
    assert red.finding == f"{figures}: find out why the candidate is worse on red wines."
    check(red, False)
    check(white, True, " on white wines: ", "97.5 % upper bound")
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
    check(guards.no_slice_worse(scores, red, 0.975, 0.0)[0], False, "needs ≥ 0)")


def test_a_difference_that_may_be_chance_does_not_veto_a_slice() -> None:
    scores, parts = worse_on_reds()
    lost = -guards.no_slice_worse(scores, parts, 0.6, 0.0)[0].figures["upper_bound"]
    check(guards.no_slice_worse(scores, parts, 0.6, lost - 1e-3)[0], False, "60 %")
    check(guards.no_slice_worse(scores, parts, 0.999, lost - 1e-3)[0], True, "99.9 %")


@pytest.mark.parametrize(
    ("positives", "negatives", "passed"), [(0, 0, None), (9, 50, None), (50, 9, None), (10, 10, False)]
)
def test_a_slice_with_too_few_wines_is_not_judged(positives: int, negatives: int, passed: bool | None) -> None:
    target = rows_of(positives, negatives)
    scores = PairedScores(target, 1.0 - target, 1.0 * target)  # all wrong, against all right
    (guard,) = guards.no_slice_worse(scores, {"sweet wines": np.full(len(target), True)}, 0.975, 0.01)
    check(guard, passed, "sweet wines")
    assert (guard.figures["positives"], guard.figures["negatives"]) == (positives, negatives)
    if passed is None:
        assert guard.result == "not judged"
        assert guard.finding == (
            f"{positives} sweet wines of high quality and {negatives} others (needs 10 and 10 to compare)."
        )
