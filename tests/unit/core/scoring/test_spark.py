"""Scoring on a real local Spark, with real Delta tables; `make spark` installs Spark."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
from deltalake import write_deltalake
from mlflow import MlflowClient

from tests.support.models import MODEL, refusal
from tests.support.promotions import ODD_MODEL
from tests.support.spark import MARKS, local_spark
from tests.unit.core.scoring.test_score import add_deletion_vectors
from workshop.core import settings
from workshop.core.data import tables as delta
from workshop.core.data import unity_catalog
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import WINE_ID
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.scoring import score, spark
from workshop.core.scoring.rows import COLUMNS

pytest.importorskip("pyspark", reason="Spark is not installed: `make spark` installs it")
pytestmark = MARKS


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The session of a local Spark."""
    with local_spark(tmp_path_factory.mktemp("warehouse")) as started:
        yield started


@pytest.fixture
def with_spark(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is large enough for Spark."""
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "0")


def write_files(table: DeltaFolder, rows: int = 300) -> None:
    """Write the production wines in files of that many rows, so that they are several tasks."""
    wines = delta.production_table().read().frame
    for start in range(0, len(wines), rows):
        write_deltalake(table.uri, wines.iloc[start : start + rows], mode="append")


def logged(**configuration: str) -> LoadedModel:
    """Log a misbehaving model of that configuration in MLflow and load it."""
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model", python_model=str(ODD_MODEL), model_config=configuration, pip_requirements=["mlflow"]
        )
    return LoadedModel("7", "", mlflow.pyfunc.load_model(info.model_uri))


def bits(predictions: Table, batch: str) -> dict[int, bytes]:
    """Return the bytes of each wine's probability."""
    rows = predictions.read().frame
    rows = rows[rows["batch"] == batch]
    assert rows[WINE_ID].is_unique
    return {
        int(wine): np.float64(value).tobytes() for wine, value in zip(rows[WINE_ID], rows["probability"], strict=True)
    }


def left_in(predictions: DeltaFolder) -> set[str]:
    """Return the files in the folder that the table does not list."""
    known = {Path(uri).name for uri in predictions.open().file_uris()} if predictions.exists() else set()
    return {path.name for path in predictions.path.glob("*") if path.is_file()} - known


# Equal answers


@pytest.mark.parametrize("shape", ["one file", "several files", "partitions", "integers and small floats"])
@pytest.mark.parametrize("version", ["1", "3"])
def test_spark_answers_with_the_same_bits(
    registry: MlflowClient,
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    shape: str,
    version: str,
    predictions: DeltaFolder,
) -> None:
    wines, table = delta.production_table().read().frame, DeltaFolder("my cellar", home / "data" / "my cellar")
    match shape:
        case "one file":
            write_deltalake(table.uri, wines[wines.columns[::-1]].assign(price=9.5))
        case "several files":
            write_files(table)
        case "partitions":
            write_deltalake(table.uri, wines, partition_by=["is_red", "quality"])
        case "integers and small floats":
            narrow = {"alcohol": "float32", "free_sulfur_dioxide": "int32", "total_sulfur_dioxide": "int16"}
            write_deltalake(table.uri, wines.astype(narrow))
    model = load_version(registry, MODEL, version)
    here = score.score(model, table, predictions)
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "0")
    spark = score.score(model, table, predictions, rows_a_batch=97)
    assert (here.rows, spark.rows, spark.model_version) == (1_064, 1_064, version)
    assert bits(predictions, spark.batch) == bits(predictions, here.batch)
    assert len(bits(predictions, here.batch)) == 1_064
    rows = predictions.read().frame
    assert rows.dtypes.to_dict() == predictions.read(0).frame.dtypes.to_dict()
    assert set(rows["model_version"]) == {version}
    np.testing.assert_array_equal(score.histogram(predictions, spark.batch), score.histogram(predictions, here.batch))


@pytest.mark.usefixtures("with_spark")
def test_a_table_on_mounted_storage_is_scored_the_same(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: DeltaFolder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MOUNTS", (home,))
    write_files(cellar)
    batches = [score.score(loaded, cellar, predictions).batch for _ in range(2)]
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "10000")
    here = score.score(loaded, cellar, predictions).batch
    assert [bits(predictions, batch) == bits(predictions, here) for batch in batches] == [True, True]


# One commit


@pytest.mark.usefixtures("with_spark")
def test_each_batch_is_one_commit(loaded: LoadedModel, cellar: DeltaFolder, predictions: DeltaFolder) -> None:
    write_files(cellar)
    batches = [score.score(loaded, cellar, predictions, 100).batch for _ in range(2)]
    assert score.batches_of(predictions) == batches
    assert [version for version, _ in predictions.records()] == [1, 0]
    assert [len(predictions.read(version).frame) for version in (0, 1)] == [1_064, 2_128]
    assert len(predictions.open().file_uris()) > 2 * 2  # several tasks wrote each
    assert left_in(predictions) == set()


@pytest.mark.usefixtures("with_spark")
def test_an_empty_table_gives_an_empty_batch(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: DeltaFolder
) -> None:
    cellar.write(delta.production_table().read().frame.iloc[:0], {})
    for _ in range(2):
        assert score.score(loaded, cellar, predictions).rows == 0
    assert score.batches_of(predictions) == []
    assert score.score(loaded, delta.production_table(), predictions).rows == 1_064


@pytest.mark.usefixtures("with_spark")
def test_a_commit_that_fails_leaves_neither_rows_nor_files(
    loaded: LoadedModel, predictions: DeltaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score.score(loaded, delta.production_table(), predictions)

    def fail(*_: Any) -> None:
        raise WorkshopError("The disk is full.")

    monkeypatch.setattr(spark, "_commit", fail)
    with refusal("disk is full"):
        score.score(loaded, delta.production_table(), predictions)
    assert predictions.read().version == 0
    assert left_in(predictions) == set()


@pytest.mark.usefixtures("with_spark")
def test_a_failure_after_the_commit_keeps_the_files(
    loaded: LoadedModel, predictions: DeltaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = spark._commit

    def commit_and_fail(*what: Any) -> None:
        commit(*what)
        raise WorkshopError("No check-point could be written.")

    monkeypatch.setattr(spark, "_commit", commit_and_fail)
    with refusal("check-point"):
        score.score(loaded, delta.production_table(), predictions)
    assert len(predictions.read().frame) == 1_064


# Refusals


@pytest.mark.usefixtures("with_spark")
@pytest.mark.parametrize(
    ("answers", "word"), [("NaN", "nan or infinity"), ("more than certain", "0 to 1"), ("nothing", "the cork is stuck")]
)
def test_improper_answers_are_explained_and_nothing_is_written(
    registry: MlflowClient, predictions: DeltaFolder, answers: str, word: str
) -> None:
    model = logged(answers=answers)
    with refusal("version 7", word):
        score.score(model, delta.production_table(), predictions)
    assert not predictions.exists()
    assert left_in(predictions) == set()


@pytest.mark.usefixtures("with_spark")
@pytest.mark.parametrize(
    ("problem", "words"),
    [("a missing id", f"no {WINE_ID}"), ("an older file", "no alcohol"), ("deletion vectors", "deletionVectors")],
)
def test_a_table_with_missing_values_or_unknown_features_is_refused(
    loaded: LoadedModel, cellar: DeltaFolder, predictions: DeltaFolder, problem: str, words: str
) -> None:
    wines = delta.production_table().read().frame
    match problem:
        case "a missing id":
            ids = wines[WINE_ID].astype("Int64").mask(wines.index == 3)
            write_deltalake(cellar.uri, wines.assign(**{WINE_ID: ids}))
        case "an older file":
            write_deltalake(cellar.uri, wines.drop(columns="alcohol"))
            write_deltalake(cellar.uri, wines, mode="append", schema_mode="merge")
        case _:
            cellar.write(wines, {})
            add_deletion_vectors(cellar)
    with refusal("cellar", words):
        score.score(loaded, cellar, predictions)
    assert not predictions.exists()


# The choice of Spark, and the model on its workers


def test_spark_scores_large_tables_only(loaded: LoadedModel, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spark.session_for(delta.production_table()) is None
    free = SimpleNamespace(available=1_064 * len(COLUMNS) * 8)
    with monkeypatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: free)
        assert spark.session_for(delta.production_table()) is not None
    for rows, is_spark in (("1064", True), ("1065", False)):
        monkeypatch.setenv("WORKSHOP_SPARK_ROWS", rows)
        assert (spark.session_for(delta.production_table()) is not None) == is_spark


@pytest.mark.usefixtures("with_spark")
def test_each_worker_loads_the_model_once(
    registry: MlflowClient, cellar: DeltaFolder, predictions: DeltaFolder, tmp_path: Path
) -> None:
    log = tmp_path / "loads"
    model = logged(answers="a constant", loads=str(log))
    log.write_text("", encoding="utf-8")
    write_files(cellar, 100)
    for _ in range(2):
        score.score(model, cellar, predictions, 100)
    workers = log.read_text(encoding="utf-8").split()
    assert len(predictions.open().file_uris()) > 2 * len(workers)  # each task has written a file
    assert len(workers) == len(set(workers))
    assert str(os.getpid()) not in workers


def test_workers_count_as_this_process_does(session: Any) -> None:
    edges = np.linspace(0, 1, score.HISTOGRAM_BINS + 1)
    values = np.concatenate([edges, np.random.default_rng(0).random(5_000)])
    frame = session.createDataFrame(pd.DataFrame({"probability": values})).repartition(3)
    expected, _ = np.histogram(values, bins=score.HISTOGRAM_BINS, range=(0, 1))
    np.testing.assert_array_equal(spark._histogram(frame, score.HISTOGRAM_BINS), expected)


def test_a_table_in_the_catalog_is_scored_the_same(
    loaded: LoadedModel, session: Any, predictions: DeltaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spark's own catalog, with files without a Delta log in place of Delta tables, which this Spark does not support.
    writer = import_module("pyspark.sql.readwriter").DataFrameWriter
    set_format = writer.format
    monkeypatch.setattr(writer, "format", lambda self, name: set_format(self, "parquet" if name == "delta" else name))
    here = score.score(loaded, delta.production_table(), predictions)
    wines = delta.production_table().read().frame
    session.sql("CREATE DATABASE wines")
    monkeypatch.setenv("WORKSHOP_TABLES", "spark_catalog.wines")
    delta.production_table().write(wines, {})
    in_catalog = score.predictions_table("dev-ann")
    scored = [score.score(loaded, delta.production_table(), in_catalog, 100) for _ in range(2)]
    assert [each.rows for each in scored] == [1_064, 1_064]
    assert score.batches_of(in_catalog) == [each.batch for each in scored]
    rows = session.table(f"wines.{unity_catalog.catalog_name(in_catalog.name)}").toPandas()
    for each in scored:
        found = rows[rows["batch"] == each.batch].set_index(WINE_ID)["probability"].astype("float64")
        assert {int(wine): np.float64(value).tobytes() for wine, value in found.items()} == bits(
            predictions, here.batch
        )
        np.testing.assert_array_equal(score.histogram(in_catalog, each.batch), score.histogram(predictions, here.batch))
    delta.named_table("strange").write(wines.assign(alcohol="strong"), {})
    with refusal("strange", "alcohol", "convert it to numbers"):
        score.score(loaded, delta.named_table("strange"), in_catalog)
