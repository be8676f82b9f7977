import json
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
from workshop.core.data.schemas import TARGET, WINE_ID
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, open_slots
from workshop.core.scoring import score
from workshop.core.settings import current_settings


@pytest.fixture
def loaded(registry: MlflowClient) -> LoadedModel:
    """Version 1, in a home with the tables."""
    return load_version(registry, MODEL, "1")


@pytest.fixture
def predictions(home: Path) -> Table:
    """A table of predictions that nobody has written yet."""
    return score.predictions_table("dev-ann")


def table_of(wines: pd.DataFrame, name: str = "cellar") -> DeltaFolder:
    table = DeltaFolder(name, current_settings().data / name)
    table.write(wines, {})
    return table


# Scoring


@pytest.mark.parametrize("rows_a_batch", [97, 500, 1_064, score.ROWS_A_BATCH])
def test_the_predictions_are_the_models_answers_row_for_row(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame, rows_a_batch: int
) -> None:
    scored = score.score(loaded, delta.production_table(), predictions, rows_a_batch)
    assert (scored.rows, scored.model_version, scored.predictions) == (1_064, "1", predictions)
    found = predictions.read().frame
    assert list(found.columns) == [WINE_ID, "probability", "model_version", "batch"]
    assert set(found["model_version"]) == {"1"}
    assert set(found["batch"]) == {scored.batch}
    expected = production[[WINE_ID]].assign(expected=loaded.probabilities(production))
    joined = expected.merge(found, on=WINE_ID, validate="one_to_one")
    assert len(joined) == 1_064
    np.testing.assert_allclose(joined["probability"], joined["expected"], rtol=1e-12)


def test_a_table_of_several_files_is_scored_whole(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame
) -> None:
    wines = production.drop(columns=TARGET)
    table = table_of(wines.head(300))
    write_deltalake(str(table.path), wines.iloc[300:], mode="append")
    assert score.score(loaded, table, predictions, rows_a_batch=128).rows == 1_064
    assert sorted(predictions.read().frame[WINE_ID]) == sorted(wines[WINE_ID])


def test_a_table_with_more_columns_in_another_order_is_scored_the_same(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame
) -> None:
    table = table_of(production[production.columns[::-1]].assign(price=9.5))
    score.score(loaded, table, predictions)
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


def test_each_run_name_has_predictions_of_its_own(loaded: LoadedModel, predictions: Table) -> None:
    score.score(loaded, delta.production_table(), predictions)
    assert not score.predictions_table("dev-ben").exists()
    assert score.predictions_table("dev-ann").exists()


def test_an_empty_table_gives_an_empty_batch(loaded: LoadedModel, predictions: Table, production: pd.DataFrame) -> None:
    full = score.score(loaded, delta.production_table(), predictions)
    empty = score.score(loaded, table_of(production.iloc[:0]), predictions)
    assert empty.rows == 0
    assert score.batches_of(predictions) == [full.batch]
    assert score.histogram(predictions, empty.batch).sum() == 0


def test_an_empty_table_can_be_the_first(loaded: LoadedModel, predictions: Table, production: pd.DataFrame) -> None:
    assert score.score(loaded, table_of(production.iloc[:0]), predictions).rows == 0
    assert score.batches_of(predictions) == []
    assert score.score(loaded, delta.production_table(), predictions).rows == 1_064


# What can't be scored


@pytest.mark.parametrize("column", [WINE_ID, "alcohol"])
def test_a_missing_column_is_refused_before_anything_is_written(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame, column: str
) -> None:
    with refusal("cellar", f"column {column} is missing"):
        score.score(loaded, table_of(production.drop(columns=column)), predictions)
    assert not predictions.exists()


def test_a_table_that_is_not_there_is_refused(loaded: LoadedModel, predictions: Table) -> None:
    with refusal("table cellar is missing"):
        score.score(loaded, delta.named_table("cellar"), predictions)
    assert not predictions.exists()


def test_a_column_of_another_type_is_refused_in_one_sentence(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame
) -> None:
    with refusal("alcohol"):
        score.score(loaded, table_of(production.assign(alcohol="strong")), predictions)
    assert not predictions.exists()


def test_a_model_that_fails_half_way_is_explained_in_one_sentence(predictions: Table, tables: None) -> None:
    with refusal("version 7", "the cork"):
        score.score(failing_at(3), delta.production_table(), predictions, rows_a_batch=100)


def test_a_model_that_fails_half_way_leaves_the_predictions_as_they_were(predictions: Table, tables: None) -> None:
    whole = score.score(answering(lambda wines: np.full(len(wines), 0.5)), delta.production_table(), predictions)
    with pytest.raises(Exception, match="the cork"):
        score.score(failing_at(3), delta.production_table(), predictions, rows_a_batch=100)
    assert score.batches_of(predictions) == [whole.batch]
    assert predictions.read().label == "predictions/dev-ann@0"


def failing_at(batch: int) -> LoadedModel:
    """A model that answers all batches before that one."""
    asked: list[int] = []

    def answer(wines: pd.DataFrame) -> np.ndarray:
        asked.append(len(wines))
        if len(asked) >= batch:
            raise ValueError("the cork\nis stuck")
        return np.full(len(wines), 0.5)

    return answering(answer)


def test_answers_of_another_number_are_refused_in_one_sentence(predictions: Table, tables: None) -> None:
    with refusal():
        score.score(answering(lambda wines: np.full(3, 0.5)), delta.production_table(), predictions)
    assert not predictions.exists()


def test_answers_that_are_no_numbers_are_refused(predictions: Table, tables: None) -> None:
    with refusal("version 7"):
        score.score(answering(lambda wines: np.full(len(wines), np.nan)), delta.production_table(), predictions)


def test_a_file_where_the_predictions_should_be_is_explained(loaded: LoadedModel, home: Path) -> None:
    (home / "data" / "predictions").write_text("not a folder")
    with refusal(str(home / "data" / "predictions")):
        score.score(loaded, delta.production_table(), score.predictions_table("dev-ann"))


def test_predictions_that_were_never_made_are_refused(predictions: Table) -> None:
    with refusal("predictions/dev-ann"):
        score.batches_of(predictions)


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


def test_a_batch_that_does_not_exist_has_no_predictions(predictions: Table, tables: None) -> None:
    score.score(answering(lambda wines: np.full(len(wines), 0.5)), delta.production_table(), predictions)
    assert score.histogram(predictions, "2020-01-01T00:00:00.000+00:00").sum() == 0


# Which model scores


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "", "1"),
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "production", "1"),
        ({Slot.PRODUCTION: "1", Slot.STAGING: "3"}, "staging", "3"),
        ({Slot.STAGING: "3"}, "", "3"),
        ({Slot.STAGING: "3"}, "staging", "3"),
        ({Slot.PRODUCTION: "1"}, "", "1"),
    ],
)
def test_production_scores_or_what_was_asked_for(
    kind: str, registry: MlflowClient, held: dict[Slot, str], asked: str, expected: str
) -> None:
    slots = open_slots(registry, MODEL)
    for slot, version in held.items():
        slots.assign(slot, version)
    assert score.load_slot(slots, asked).version == expected


@pytest.mark.parametrize(
    ("held", "asked", "named"),
    [
        ({}, "", "Production or Staging"),
        ({}, "staging", "Staging"),
        ({Slot.STAGING: "3"}, "production", "Production"),
        ({Slot.PRODUCTION: "1"}, "staging", "Staging"),
        ({Slot.PREVIOUS: "1"}, "", "Production or Staging"),
    ],
)
def test_a_slot_that_nobody_holds_is_refused(
    kind: str, registry: MlflowClient, held: dict[Slot, str], asked: str, named: str
) -> None:
    slots = open_slots(registry, MODEL)
    for slot, version in held.items():
        slots.assign(slot, version)
    with refusal(MODEL, f"holds {named}", "part_1_3_evaluating"):
        score.load_slot(slots, asked)


def test_a_model_that_was_never_registered_holds_nothing(kind: str, empty_registry: MlflowClient) -> None:
    with refusal("never_registered", "part_1_3_evaluating"):
        score.load_slot(open_slots(empty_registry, "never_registered"))


# Tables of other people's making


def test_a_table_in_partitions_is_scored_the_same(loaded: LoadedModel, predictions: Table, home: Path) -> None:
    wines = delta.production_table().read().frame
    table = DeltaFolder("cellar", home / "data" / "cellar")
    write_deltalake(table.uri, wines, partition_by=["is_red"])
    assert score.score(loaded, table, predictions).rows == len(wines)
    found = predictions.read().frame.set_index(WINE_ID)["probability"]
    np.testing.assert_array_equal(found[wines[WINE_ID]], loaded.probabilities(wines))


def test_wines_without_an_id_are_refused(loaded: LoadedModel, predictions: Table, home: Path) -> None:
    wines = delta.production_table().read().frame
    table = DeltaFolder("cellar", home / "data" / "cellar")
    write_deltalake(table.uri, wines.assign(**{WINE_ID: wines[WINE_ID].astype("Int64").mask(wines.index == 3)}))
    with refusal("cellar", f"no {WINE_ID}"):
        score.score(loaded, table, predictions)
    assert not predictions.exists()


def test_a_table_whose_files_alone_would_give_wrong_rows_is_refused(
    loaded: LoadedModel, predictions: Table, production: pd.DataFrame
) -> None:
    table, features = table_of(production), ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    record = json.dumps({"protocol": protocol}) + "\n"
    (table.path / "_delta_log" / "00000000000000000001.json").write_text(record, encoding="utf-8")
    with refusal("cellar", "deletionVectors"):
        score.score(loaded, table, predictions)


def test_a_table_in_another_place_than_the_predictions_is_refused(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wines = delta.production_table()
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    with refusal("production", "predictions/dev-ann", "same place"):
        score.score(loaded, wines, score.predictions_table("dev-ann"))
