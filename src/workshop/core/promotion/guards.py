"""Guards: what a candidate must keep, whatever its AUC. Each can veto, and each says why, with its figures."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from workshop.core.data import schemas
from workshop.core.data.delta_table import Snapshot
from workshop.core.errors import WorkshopError
from workshop.core.promotion.auc import FEWEST_OF_A_KIND, Comparison, PairedScores, compare_auc, kinds, percent
from workshop.core.promotion.outcome import Guard
from workshop.core.registry.model import LoadedModel, load_version, require_probabilities

POWER = 0.8
"""How likely a difference of the sought size must be to be found; the convention, as in Cohen 1988."""
FEWEST_FOR_A_VERDICT = 30
"""Rows of either kind below which DeLong's normal approximation is not to be trusted."""
_FEWEST_IN_A_SLICE = 10


def fits_schema(snapshot: Snapshot) -> Guard:
    """Whether the wines to compare on, production wines above all, still look as their schema says."""
    schema = schemas.PREPARED if schemas.TARGET in snapshot.frame else schemas.WINES
    try:
        schemas.check(snapshot.frame, schema, snapshot.label)
    except WorkshopError as error:
        return Guard("data fit the schema", False, str(error), "callers")
    rows = len(snapshot.frame)
    return Guard("data fit the schema", True, f"All {rows:,} rows do.", "callers", {"rows": rows})


def loads(client: MlflowClient, model_name: str, version: str) -> tuple[Guard, LoadedModel | None]:
    """Whether the version can be loaded by its URI, and the loaded model."""
    try:
        model = load_version(client, model_name, version)
    except WorkshopError as error:
        return Guard("loads", False, str(error), "callers"), None
    return Guard("loads", True, f"Version {version} was loaded by its URI.", "callers"), model


def same_inputs(candidate: LoadedModel, champion: LoadedModel | None) -> Guard:
    """Whether the candidate takes the input columns and types that the champion takes; a caller would break otherwise.

    Without a champion it must say what it takes, since callers will rely on that.
    """
    name = "same inputs as Production"
    if candidate.inputs is None:
        return Guard(
            name,
            False,
            f"Version {candidate.version} does not say which columns it takes, so no caller could rely on it: log it "
            "with a signature.",
            "callers",
        )
    if champion is None or champion.inputs is None or candidate.inputs == champion.inputs:
        count = len(candidate.input_columns)
        return Guard(name, True, f"It takes {count} columns, by name and type.", "callers", {"columns": count})
    columns = ", ".join(f"{column.name} ({getattr(column.type, 'name', column.type)})" for column in champion.inputs)
    return Guard(
        name,
        False,
        f"Version {candidate.version} takes other input columns or types than version {champion.version} in "
        f"Production, so every caller would break: train it on {columns}.",
        "callers",
    )


def answers_properly(candidate: LoadedModel, wines: pd.DataFrame) -> tuple[Guard, np.ndarray | None]:
    """Whether the candidate answers with a probability a row, and its answers."""
    try:
        answers = candidate.probabilities(wines)
        require_probabilities(answers, len(wines), f"candidate, version {candidate.version},")
    except WorkshopError as error:
        return Guard("answers are probabilities", False, str(error), "callers"), None
    low, high = float(answers.min()), float(answers.max())
    finding = f"{len(answers):,} answers from {low:.3f} to {high:.3f}, none missing."
    return Guard("answers are probabilities", True, finding, "callers", {"least": low, "greatest": high}), answers


def both_kinds(target: np.ndarray) -> Guard:
    """Whether there are rows of both kinds, without which no AUC can be computed."""
    positives, negatives = kinds(target)
    enough = min(positives, negatives) >= FEWEST_OF_A_KIND
    finding = (
        f"{positives:,} of the {len(target):,} wines are of high quality."
        if enough
        else f"Of the {len(target)} wines to compare on, {positives} are of high quality and {negatives} are not, so "
        "no model can be told from another: use a table with enough of both kinds."
    )
    figures = {"positives": positives, "negatives": negatives}
    return Guard("rows of both kinds", enough, finding, "callers", figures)


def enough_rows(target: np.ndarray, comparison: Comparison, difference: float, confidence: float) -> Guard:
    """Whether the rows suffice to find an improvement of that size with a probability of `POWER`.

    Args:
        target: the labels.
        comparison: of candidate and champion on these rows; its standard error says how sharp they are.
        difference: the AUC difference that must be found, beyond the one that is asked for.
        confidence: how sure the verdict must be, one-sided.
    """
    positives, negatives = kinds(target)
    share = comparison.share_of_rows_needed(difference, confidence, POWER)
    of_either = [max(math.ceil(share * count), FEWEST_FOR_A_VERDICT) for count in (positives, negatives)]
    enough = positives >= of_either[0] and negatives >= of_either[1]
    finding = (
        f"To find an improvement of {difference:g} in {POWER:.0%} of all cases it takes {of_either[0]:,} wines of high "
        f"quality and {of_either[1]:,} others; there are {positives:,} and {negatives:,}"
    )
    advice = "." if enough else ": wait for more labelled wines, or ask for less with detectable_improvement."
    figures = {
        "positives": positives,
        "negatives": negatives,
        "positives_needed": of_either[0],
        "negatives_needed": of_either[1],
    }
    return Guard("enough rows", enough, finding + advice, "verdict", figures)


def no_slice_worse(
    scores: PairedScores, slices: Mapping[str, np.ndarray], confidence: float, tolerance: float
) -> list[Guard]:
    """For each slice, whether the candidate is not significantly worse than the champion beyond the tolerance."""
    return [_not_worse(name, scores.of(mask), confidence, tolerance) for name, mask in slices.items()]


def _not_worse(name: str, scores: PairedScores, confidence: float, tolerance: float) -> Guard:
    called, (positives, negatives) = f"not worse on {name}", kinds(scores.target)
    if min(positives, negatives) < _FEWEST_IN_A_SLICE:
        finding = f"There are {positives} {name} of high quality and {negatives} others: too few to tell."
        return Guard(called, True, finding, "verdict", {"positives": positives, "negatives": negatives})
    comparison = compare_auc(scores.target, scores.candidate, scores.champion)
    most = comparison.upper_bound(confidence)
    figures = {
        "positives": positives,
        "negatives": negatives,
        "auc_candidate": comparison.auc_candidate,
        "auc_champion": comparison.auc_champion,
        "difference": comparison.difference,
        "upper_bound": most,
    }
    finding = (
        f"On {name} its AUC is {comparison.auc_candidate:.4f} against {comparison.auc_champion:.4f}, a difference of "
        f"at most {most:+.4f} with {percent(confidence)} confidence"
    )
    if most < -tolerance:
        finding += f", and {0 - tolerance:g} is the worst that is tolerated: see what the training lost on {name}"
    return Guard(called, most >= -tolerance, f"{finding}.", "verdict", figures)
