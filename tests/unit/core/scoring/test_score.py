import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake
from mlflow import MlflowClient

from tests.support.models import MODEL, answering, refusal
from workshop.core.data import tables as delta
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import WINE_ID
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, open_slots
from workshop.core.scoring import score

# Scoring


@pytest.mark.parametrize("rows_a_batch", [97, 1_064, score.ROWS_A_BATCH])
def test_the_predictions_are_the_answers_of_the_model_row_for_row(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame, rows_a_batch: int
) -> None:
    scored = score.score(loaded, delta.production_table(), predictions, rows_a_batch)
    assert (scored.rows, scored.model_version, scored.predictions) == (1_064, "1", predictions)
    assert predictions == score.predictions_table("dev-ann")
    found = predictions.read().frame
    assert list(found.columns) == [WINE_ID, "probability", "model_version", "batch"]
    assert set(found["model_version"]) == {"1"}
    assert set(found["batch"]) == {scored.batch}
    expected = production[[WINE_ID]].assign(expected=loaded.probabilities(production))
    joined = expected.merge(found, on=WINE_ID, validate="one_to_one")
    assert len(joined) == 1_064
    np.testing.assert_allclose(joined["probability"], joined["expected"], rtol=1e-12)


@pytest.mark.parametrize("shape", ["several files", "partitions", "more columns in another order"])
def test_a_table_of_another_shape_is_scored_the_same(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: Table, production: pd.DataFrame, shape: str
) -> None:
    match shape:
        case "several files":
            write_deltalake(cellar.uri, production.head(300))
            write_deltalake(cellar.uri, production.iloc[300:], mode="append")
        case "partitions":
            write_deltalake(cellar.uri, production, partition_by=["is_red"])
        case _:
            write_deltalake(cellar.uri, production[production.columns[::-1]].assign(price=9.5))
    assert score.score(loaded, cellar, predictions, rows_a_batch=128).rows == 1_064
    found = predictions.read().frame.set_index(WINE_ID)["probability"]
    np.testing.assert_allclose(found[production[WINE_ID]], loaded.probabilities(production), rtol=1e-12)


def test_a_second_batch_is_added_to_the_first(
    registry: MlflowClient, predictions: Table, production: pd.DataFrame
) -> None:
    batches = []
    for version in ("1", "3"):
        batches.append(score.score(load_version(registry, MODEL, version), delta.production_table(), predictions).batch)
    assert score.batches_of(predictions) == batches
    found = predictions.read().frame
    assert len(found) == 2 * 1_064
    assert found.groupby("batch")["model_version"].unique().map(list).to_dict() == dict(
        zip(batches, [["1"], ["3"]], strict=True)
    )
    assert predictions.read(0).frame["batch"].unique().tolist() == batches[:1]


def test_an_empty_table_gives_an_empty_batch(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: Table, production: pd.DataFrame
) -> None:
    cellar.write(production.iloc[:0], {})
    with refusal("predictions/dev-ann"):
        score.batches_of(predictions)
    assert score.score(loaded, cellar, predictions).rows == 0
    assert score.batches_of(predictions) == []
    full = score.score(loaded, delta.production_table(), predictions)
    empty = score.score(loaded, cellar, predictions)
    assert (full.rows, empty.rows) == (1_064, 0)
    assert score.batches_of(predictions) == [full.batch]
    assert score.histogram(predictions, empty.batch).sum() == 0


# Refusals


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda wines: wines.drop(columns=WINE_ID), [f"column {WINE_ID} is missing"]),
        (lambda wines: wines.drop(columns="alcohol"), ["column alcohol is missing"]),
        (lambda wines: wines.assign(alcohol="strong"), ["alcohol", "convert it to numbers"]),
        (lambda wines: wines.assign(wine_id=wines[WINE_ID].astype("Int64").mask(wines.index == 3)), [f"no {WINE_ID}"]),
    ],
    ids=["no ids", "no alcohol", "text for alcohol", "a missing id"],
)
def test_a_table_with_wrong_columns_is_refused_before_a_write(
    loaded: LoadedModel,
    cellar: DeltaFolder,
    predictions: Table,
    production: pd.DataFrame,
    edit: Callable[[pd.DataFrame], pd.DataFrame],
    words: list[str],
) -> None:
    with refusal("table cellar is missing"):
        score.score(loaded, cellar, predictions)
    write_deltalake(cellar.uri, edit(production))
    with refusal("cellar", *words):
        score.score(loaded, cellar, predictions)
    assert not predictions.exists()


@pytest.mark.parametrize("answers", [lambda wines: np.full(3, 0.5), lambda wines: np.full(len(wines), np.nan)])
def test_answers_that_are_no_probabilities_are_refused(
    predictions: Table, tables: None, answers: Callable[[pd.DataFrame], np.ndarray]
) -> None:
    with refusal("version 7"):
        score.score(answering(answers), delta.production_table(), predictions)
    assert not predictions.exists()


def test_a_model_that_fails_half_way_leaves_the_predictions_as_they_were(predictions: Table, tables: None) -> None:
    whole = score.score(answering(lambda wines: np.full(len(wines), 0.5)), delta.production_table(), predictions)
    calls = count(1)

    def fail_at_the_third_batch(wines: pd.DataFrame) -> np.ndarray:
        if next(calls) == 3:
            raise ValueError("the cork\nis stuck")
        return np.full(len(wines), 0.5)

    with refusal("version 7", "the cork"):
        score.score(answering(fail_at_the_third_batch), delta.production_table(), predictions, rows_a_batch=100)
    assert score.histogram(predictions, "2020-01-01T00:00:00.000+00:00").sum() == 0  # a batch that does not exist
    assert score.batches_of(predictions) == [whole.batch]
    assert predictions.read().label == "predictions/dev-ann@0"


def test_a_file_in_the_place_of_the_predictions_is_explained(loaded: LoadedModel, home: Path) -> None:
    (home / "data" / "predictions").write_text("not a folder")
    with refusal(str(home / "data" / "predictions")):
        score.score(loaded, delta.production_table(), score.predictions_table("dev-ann"))


# The histogram


def test_the_histogram_counts_every_prediction_of_the_batch_once(
    registry: MlflowClient, predictions: Table, production: pd.DataFrame
) -> None:
    for version in ("1", "3"):
        loaded = load_version(registry, MODEL, version)
        scored = score.score(loaded, delta.production_table(), predictions, rows_a_batch=200)
        counts = score.histogram(predictions, scored.batch)
        expected, _ = np.histogram(loaded.probabilities(production), bins=score.HISTOGRAM_BINS, range=(0, 1))
        np.testing.assert_array_equal(counts, expected)
        assert counts.sum() == 1_064


def test_the_ends_of_the_scale_are_counted(predictions: Table, tables: None) -> None:
    def extreme(wines: pd.DataFrame) -> np.ndarray:
        return np.where(np.arange(len(wines)) < 64, 1.0, 0.0)

    scored = score.score(answering(extreme), delta.production_table(), predictions)
    counts = score.histogram(predictions, scored.batch)
    assert (counts[0], counts[-1], counts.sum()) == (1_000, 64, 1_064)
    assert len(counts) == score.HISTOGRAM_BINS


# Which model scores


@pytest.mark.parametrize(
    ("held", "slot", "expected"),
    [
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "", "1"),
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "production", "1"),
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "staging", "3"),
        ({Slot.STAGING: "3"}, "", "3"),
        ({Slot.STAGING: "3"}, "staging", "3"),
        ({Slot.PRODUCTION: "1"}, "", "1"),
    ],
)
def test_the_model_in_production_or_in_the_given_slot_is_loaded(
    kind: str, registry: MlflowClient, held: dict[Slot, str], slot: str, expected: str
) -> None:
    slots = open_slots(registry, MODEL)
    for name, version in held.items():
        slots.assign(name, version)
    assert score.load_slot(slots, slot).version == expected


@pytest.mark.parametrize(
    ("held", "slot", "named"),
    [
        ({}, "", "Production or Staging"),
        ({}, "staging", "Staging"),
        ({Slot.STAGING: "3"}, "production", "Production"),
        ({Slot.PRODUCTION: "1"}, "staging", "Staging"),
        ({Slot.PREVIOUS: "1"}, "", "Production or Staging"),
    ],
)
def test_an_empty_slot_is_refused(
    kind: str, registry: MlflowClient, held: dict[Slot, str], slot: str, named: str
) -> None:
    slots = open_slots(registry, MODEL)
    for name, version in held.items():
        slots.assign(name, version)
    with refusal(MODEL, f"holds {named}", "part_1_3_evaluating"):
        score.load_slot(slots, slot)
    with refusal("never_registered", "part_1_3_evaluating"):
        score.load_slot(open_slots(registry, "never_registered"))


def add_deletion_vectors(table: DeltaFolder) -> None:
    """Record the feature with which the files alone give deleted rows too."""
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    record = json.dumps({"protocol": protocol}) + "\n"
    (table.path / "_delta_log" / "00000000000000000001.json").write_text(record, encoding="utf-8")


def test_a_table_with_deletion_vectors_is_refused(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: Table, production: pd.DataFrame
) -> None:
    cellar.write(production, {})
    add_deletion_vectors(cellar)
    with refusal("cellar", "deletionVectors"):
        score.score(loaded, cellar, predictions)


def test_a_table_in_another_place_than_the_predictions_is_refused(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wines = delta.production_table()
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    with refusal("production", "predictions/dev-ann", "same place"):
        score.score(loaded, wines, score.predictions_table("dev-ann"))
