"""Guards: what a candidate must fulfil whatever its AUC. Each returns its finding and figures, and can veto.

`evaluate` calls those that need only the models, `gate.decide` those that need labels and scores.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from workshop.core.data import schemas
from workshop.core.data.delta_table import Snapshot
from workshop.core.errors import WorkshopError
from workshop.core.promotion.auc import SMALLEST_CLASS, Comparison, PairedScores, class_counts, compare_auc
from workshop.core.promotion.outcome import Guard
from workshop.core.promotion.texts import compared, percent
from workshop.core.registry.model import LoadedModel, load_version, require_probabilities

POWER = 0.8
"""Probability with which a difference of the given size must be detected; the convention, as in Cohen 1988."""
FEWEST_FOR_A_VERDICT = 30
"""Fewest rows of each class for which DeLong's normal approximation is trusted."""
_FEWEST_IN_A_SLICE = 10


def fits_schema(snapshot: Snapshot) -> Guard:
    """Check that the wines to compare on still fit their schema."""
    schema = schemas.PREPARED if schemas.TARGET in snapshot.frame else schemas.WINES
    try:
        schemas.check_schema(snapshot.frame, schema, snapshot.label)
    except WorkshopError as error:
        return Guard("data fit the schema", False, str(error), "callers")
    rows = len(snapshot.frame)
    return Guard("data fit the schema", True, f"All {rows:,} rows fit.", "callers", {"rows": rows})


def loads(client: MlflowClient, model_name: str, version: str) -> tuple[Guard, LoadedModel | None]:
    """Check that the version can be loaded by its URI; return the model too."""
    try:
        model = load_version(client, model_name, version)
    except WorkshopError as error:
        return Guard("loads", False, str(error), "callers"), None
    return Guard("loads", True, f"Version {version} was loaded by its URI.", "callers"), model


def same_inputs(candidate: LoadedModel, champion: LoadedModel | None) -> Guard:
    """Check that the candidate takes the input columns and types of the champion, which callers send.

    The candidate needs a signature even without a champion, since callers will rely on it.
    """
    name = "same inputs as Production"
    if candidate.inputs is None:
        return Guard(
            name,
            False,
            f"Version {candidate.version} was logged without its input columns, which callers rely on: log it with a "
            "signature.",
            "callers",
        )
    if champion is None or champion.inputs is None or candidate.inputs == champion.inputs:
        count = len(candidate.input_columns)
        return Guard(name, True, f"{count} columns, by name and type.", "callers", {"columns": count})
    columns = ", ".join(f"{column.name} ({getattr(column.type, 'name', column.type)})" for column in champion.inputs)
    return Guard(
        name,
        False,
        f"Version {candidate.version} takes other input columns or types than version {champion.version} in "
        f"Production, so every caller would break: train it on {columns}.",
        "callers",
    )


def answers_properly(candidate: LoadedModel, wines: pd.DataFrame) -> tuple[Guard, np.ndarray | None]:
    """Check that the candidate answers each row with a probability; return the answers too."""
    try:
        answers = candidate.probabilities(wines)
        require_probabilities(answers, len(wines), f"candidate, version {candidate.version},")
    except WorkshopError as error:
        return Guard("answers are probabilities", False, str(error), "callers"), None
    low, high = float(answers.min()), float(answers.max())
    finding = f"{len(answers):,} answers from {low:.3f} to {high:.3f}, none missing."
    return Guard("answers are probabilities", True, finding, "callers", {"least": low, "greatest": high}), answers


def both_classes(target: np.ndarray) -> Guard:
    """Check that there are rows of both classes, without which an AUC is not defined."""
    positives, negatives = class_counts(target)
    enough = min(positives, negatives) >= SMALLEST_CLASS
    finding = (
        f"{positives:,} wines of high quality and {negatives:,} others (needs {SMALLEST_CLASS} and {SMALLEST_CLASS})"
    )
    finding += "." if enough else ": use a table with enough of both kinds."
    figures = {"positives": positives, "negatives": negatives}
    return Guard("rows of both kinds", enough, finding, "callers", figures)


def enough_rows(target: np.ndarray, comparison: Comparison, difference: float, confidence: float) -> Guard:
    """Check that the rows suffice to detect an improvement of that size with probability `POWER`.

    Args:
        target: the labels.
        comparison: of candidate and champion on these rows.
        difference: the AUC difference beyond `min_improvement` that must be detected.
        confidence: one-sided, of the verdict.
    """
    positives, negatives = class_counts(target)
    share = comparison.share_of_rows_needed(difference, confidence, POWER)
    needed = [max(math.ceil(share * count), FEWEST_FOR_A_VERDICT) for count in (positives, negatives)]
    enough = positives >= needed[0] and negatives >= needed[1]
    finding = (
        f"{positives:,} wines of high quality and {negatives:,} others (needs {needed[0]:,} and {needed[1]:,} to "
        f"detect an improvement of {difference:g} with {percent(POWER)} probability)"
    )
    advice = "." if enough else ": wait for more labelled wines, or raise detectable_improvement."
    figures = {
        "positives": positives,
        "negatives": negatives,
        "positives_needed": needed[0],
        "negatives_needed": needed[1],
    }
    return Guard("enough rows", enough, finding + advice, "verdict", figures)


def no_slice_worse(
    scores: PairedScores, slices: Mapping[str, np.ndarray], confidence: float, tolerance: float
) -> list[Guard]:
    """Check for each slice that the candidate is not significantly worse than the champion beyond the tolerance.

    A slice with too few wines of either kind is not judged.
    """
    return [_not_worse(name, scores.subset(mask), confidence, tolerance) for name, mask in slices.items()]


def _not_worse(name: str, scores: PairedScores, confidence: float, tolerance: float) -> Guard:
    title, (positives, negatives) = f"not worse on {name}", class_counts(scores.target)
    if min(positives, negatives) < _FEWEST_IN_A_SLICE:
        finding = (
            f"{positives} {name} of high quality and {negatives} others (needs {_FEWEST_IN_A_SLICE} and "
            f"{_FEWEST_IN_A_SLICE} to compare)."
        )
        return Guard(title, None, finding, "verdict", {"positives": positives, "negatives": negatives})
    comparison = compare_auc(scores.target, scores.candidate, scores.champion)
    upper = comparison.upper_bound(confidence)
    figures = {
        "positives": positives,
        "negatives": negatives,
        "auc_candidate": comparison.auc_candidate,
        "auc_champion": comparison.auc_champion,
        "difference": comparison.difference,
        "upper_bound": upper,
    }
    finding = compared(comparison, "upper", confidence, 0 - tolerance, f" on {name}")
    advice = "." if upper >= -tolerance else f": find out why the candidate is worse on {name}."
    return Guard(title, upper >= -tolerance, finding + advice, "verdict", figures)
