"""Scoring on a real local Spark, with real Delta tables; `make spark` installs what it takes."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
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
from workshop.core import settings
from workshop.core.data import tables as delta
from workshop.core.data import unity_catalog
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Snapshot, Table
from workshop.core.data.schemas import WINE_ID
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.scoring import score, spark
from workshop.core.scoring.rows import COLUMNS

pytest.importorskip("pyspark", reason="Spark is not installed: `make spark` does it")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17, and there is none on the PATH"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
COUNTING_MODEL = """
import os
from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel


class CountingModel(PythonModel):
    def load_context(self, context):
        with Path(context.model_config["log"]).open("a") as log:
            log.write(f"{os.getpid()}\\n")

    def predict(self, context, model_input, params=None):
        return np.full(len(model_input), 0.5)


mlflow.models.set_model(CountingModel())
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark of two workers in this machine."""
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name in ("spark.driver.host", "spark.driver.bindAddress"):
        builder = builder.config(name, "127.0.0.1")
    builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
    # So little that each file is a task.
    builder = builder.config("spark.sql.files.maxPartitionBytes", "30000").config(
        "spark.sql.files.openCostInBytes", "0"
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        started = builder.getOrCreate()
    started.sparkContext.setLogLevel("OFF")
    yield started
    started.stop()


@pytest.fixture
def with_spark(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is large enough for Spark."""
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "0")


@pytest.fixture
def loaded(registry: MlflowClient) -> LoadedModel:
    """Version 1, in a home with the tables."""
    return load_version(registry, MODEL, "1")


@pytest.fixture
def predictions(home: Path) -> DeltaFolder:
    """A table of predictions that nobody has written yet."""
    return DeltaFolder("predictions/dev-ann", home / "data" / "predictions" / "dev-ann")


def folder(name: str, home: Path) -> DeltaFolder:
    return DeltaFolder(name, home / "data" / name)


def in_files(home: Path, rows: int = 300) -> DeltaFolder:
    """The production wines in files of that many rows, so that they are several tasks."""
    wines, table = delta.production_table().read().frame, folder("cellar", home)
    for start in range(0, len(wines), rows):
        write_deltalake(table.uri, wines.iloc[start : start + rows], mode="append")
    return table


def logged(code: Path, **configuration: str) -> LoadedModel:
    """The model of that code, as MLflow has it."""
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model", python_model=str(code), model_config=configuration, pip_requirements=["mlflow"]
        )
    return LoadedModel("7", "", mlflow.pyfunc.load_model(info.model_uri))


def bits(predictions: Table, batch: str) -> dict[int, bytes]:
    """The bytes of each wine's probability."""
    rows = predictions.read().frame
    rows = rows[rows["batch"] == batch]
    assert rows[WINE_ID].is_unique
    return {
        int(wine): np.float64(value).tobytes() for wine, value in zip(rows[WINE_ID], rows["probability"], strict=True)
    }


def left_in(predictions: DeltaFolder) -> set[str]:
    """The files in the folder that the table does not have."""
    known = {Path(uri).name for uri in predictions.open().file_uris()} if predictions.exists() else set()
    return {path.name for path in predictions.path.glob("*") if path.is_file()} - known


# The same answers


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
    wines = delta.production_table().read().frame
    table = folder("my cellar", home)
    match shape:
        case "one file":
            write_deltalake(table.uri, wines[wines.columns[::-1]].assign(price=9.5))
        case "several files":
            table = in_files(home)
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
    loaded: LoadedModel, predictions: DeltaFolder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MOUNTS", (home,))
    table = in_files(home)
    batches = [score.score(loaded, table, predictions).batch for _ in range(2)]
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", "10000")
    here = score.score(loaded, table, predictions).batch
    assert [bits(predictions, batch) == bits(predictions, here) for batch in batches] == [True, True]


# One commit


@pytest.mark.usefixtures("with_spark")
def test_each_batch_is_one_commit(loaded: LoadedModel, predictions: DeltaFolder, home: Path) -> None:
    batches = [score.score(loaded, in_files(home), predictions, 100).batch]
    batches.append(score.score(loaded, folder("cellar", home), predictions, 100).batch)
    assert score.batches_of(predictions) == batches
    assert [version for version, _ in predictions.records()] == [1, 0]
    assert [len(predictions.read(version).frame) for version in (0, 1)] == [1_064, 2_128]
    assert len(predictions.open().file_uris()) > 2 * 2  # several tasks wrote each
    assert left_in(predictions) == set()


@pytest.mark.usefixtures("with_spark")
def test_an_empty_table_gives_an_empty_batch(loaded: LoadedModel, predictions: DeltaFolder, home: Path) -> None:
    empty = delta.named_table("cellar")
    empty.write(delta.production_table().read().frame.iloc[:0], {})
    for _ in range(2):
        assert score.score(loaded, empty, predictions).rows == 0
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
def test_a_commit_that_was_made_before_something_failed_keeps_its_files(
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


# What can't be scored


@pytest.mark.usefixtures("with_spark")
@pytest.mark.parametrize(
    ("answers", "word"), [("NaN", "nan or infinity"), ("more than certain", "0 to 1"), ("nothing", "the cork is stuck")]
)
def test_a_model_that_answers_badly_is_explained_and_nothing_is_written(
    registry: MlflowClient, predictions: DeltaFolder, answers: str, word: str
) -> None:
    model = logged(ODD_MODEL, answers=answers)
    with refusal("version 7", word):
        score.score(model, delta.production_table(), predictions)
    assert not predictions.exists()
    assert left_in(predictions) == set()


@pytest.mark.usefixtures("with_spark")
def test_wines_without_an_id_are_refused(loaded: LoadedModel, predictions: DeltaFolder, home: Path) -> None:
    wines = delta.production_table().read().frame
    table = folder("cellar", home)
    write_deltalake(table.uri, wines.assign(**{WINE_ID: wines[WINE_ID].astype("Int64").mask(wines.index == 3)}))
    with refusal("cellar", f"no {WINE_ID}"):
        score.score(loaded, table, predictions)
    assert not predictions.exists()


@pytest.mark.usefixtures("with_spark")
def test_a_column_that_older_files_lack_is_refused(loaded: LoadedModel, predictions: DeltaFolder, home: Path) -> None:
    wines = delta.production_table().read().frame
    table = folder("cellar", home)
    write_deltalake(table.uri, wines.drop(columns="alcohol"))
    write_deltalake(table.uri, wines, mode="append", schema_mode="merge")
    with refusal("cellar", "no alcohol"):
        score.score(loaded, table, predictions)


@pytest.mark.usefixtures("with_spark")
def test_a_table_whose_files_alone_would_give_wrong_rows_is_refused(
    loaded: LoadedModel, predictions: DeltaFolder, home: Path
) -> None:
    table = folder("cellar", home)
    write_deltalake(table.uri, delta.production_table().read().frame)
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    record = json.dumps({"protocol": protocol}) + "\n"
    (table.path / "_delta_log" / "00000000000000000001.json").write_text(record, encoding="utf-8")
    with refusal("cellar", "deletionVectors"):
        score.score(loaded, table, predictions)


# When it is Spark, and what it does with the model


def test_a_small_table_is_scored_here_though_a_session_is_active(loaded: LoadedModel, session: Any) -> None:
    assert spark.session_for(delta.production_table()) is None


@pytest.mark.parametrize(("rows", "is_spark"), [("1064", True), ("1065", False)])
def test_the_number_of_rows_decides(
    loaded: LoadedModel, session: Any, monkeypatch: pytest.MonkeyPatch, rows: str, is_spark: bool
) -> None:
    monkeypatch.setenv("WORKSHOP_SPARK_ROWS", rows)
    assert (spark.session_for(delta.production_table()) is not None) == is_spark


def test_a_table_larger_than_the_free_memory_is_scored_with_spark(
    loaded: LoadedModel, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LittleMemory:
        available = 1_064 * len(COLUMNS) * 8

    monkeypatch.setattr(psutil, "virtual_memory", LittleMemory)
    assert spark.session_for(delta.production_table()) is not None


@pytest.mark.usefixtures("with_spark")
def test_each_worker_loads_the_model_once(
    registry: MlflowClient, predictions: DeltaFolder, home: Path, tmp_path: Path
) -> None:
    code, log = tmp_path / "counting_model.py", tmp_path / "loads"
    code.write_text(COUNTING_MODEL, encoding="utf-8")
    model = logged(code, log=str(log))
    log.write_text("", encoding="utf-8")
    table = in_files(home, 100)
    for _ in range(2):
        score.score(model, table, predictions, 100)
    workers = log.read_text(encoding="utf-8").split()
    assert len(predictions.open().file_uris()) > 2 * len(workers)  # each file is a task's, and each has asked
    assert len(workers) == len(set(workers))
    assert str(os.getpid()) not in workers


# What a table in Unity Catalog rests on, without one


def test_rows_come_back_from_spark_in_the_order_in_which_they_were_written(tables: None, session: Any) -> None:
    written = delta.production_table().read()
    shuffled = unity_catalog.numbered(session, written.frame).repartition(7, WINE_ID)
    assert [row[WINE_ID] for row in shuffled.collect()] != written.frame[WINE_ID].tolist()
    shuffled.createOrReplaceTempView("shuffled")
    query = unity_catalog.in_written_order("shuffled", shuffled.columns)
    read = session.sql(query).toPandas().drop(columns=unity_catalog.ROW)
    assert Snapshot("production", 0, read).digest == written.digest
    assert read.dtypes.to_dict() == written.frame.dtypes.to_dict()


def test_rows_without_a_place_come_last_and_always_in_the_same_order(tables: None, session: Any) -> None:
    wines = delta.production_table().read().frame
    ours = unity_catalog.numbered(session, wines.iloc[:600])
    foreign = unity_catalog.numbered(session, wines.iloc[600:]).drop(unity_catalog.ROW)
    digests = set()
    for parts in (2, 5):
        both = ours.unionByName(foreign, allowMissingColumns=True).repartition(parts)
        both.createOrReplaceTempView("appended")
        read = session.sql(unity_catalog.in_written_order("appended", both.columns)).toPandas()
        assert read[WINE_ID][:600].tolist() == wines[WINE_ID][:600].tolist()
        digests.add(Snapshot("production", 0, read).digest)
    assert len(digests) == 1


def test_gaps_come_back_as_they_were(session: Any) -> None:
    frame = pd.DataFrame({"wine_id": [2, 1], "alcohol": [np.nan, 1e-308], "name": ["Rosé", None]})
    read = unity_catalog.numbered(session, frame).toPandas().drop(columns=unity_catalog.ROW)
    assert read["alcohol"].to_numpy().tobytes() == frame["alcohol"].to_numpy().tobytes()
    assert (read["name"][0], pd.isna(read["name"][1])) == ("Rosé", True)


def test_a_frame_without_rows_keeps_its_columns(session: Any) -> None:
    frame = pd.DataFrame({"wine_id": pd.Series([], dtype="int64"), "alcohol": pd.Series([], dtype="float64")})
    assert unity_catalog.numbered(session, frame).dtypes == [
        ("wine_id", "bigint"),
        ("alcohol", "double"),
        (unity_catalog.ROW, "bigint"),
    ]


def test_workers_count_as_this_process_does(session: Any) -> None:
    edges = np.linspace(0, 1, score.HISTOGRAM_BINS + 1)
    values = np.concatenate([edges, np.random.default_rng(0).random(5_000)])
    frame = session.createDataFrame(pd.DataFrame({"probability": values})).repartition(3)
    expected, _ = np.histogram(values, bins=score.HISTOGRAM_BINS, range=(0, 1))
    np.testing.assert_array_equal(spark._histogram(frame, score.HISTOGRAM_BINS), expected)


def test_a_table_in_the_catalog_is_scored_the_same(
    loaded: LoadedModel, session: Any, predictions: DeltaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spark's own catalog, and files without a Delta log in the place of Delta tables, which this Spark does not know.
    writer = import_module("pyspark.sql.readwriter").DataFrameWriter
    as_asked = writer.format
    monkeypatch.setattr(writer, "format", lambda self, name: as_asked(self, "parquet" if name == "delta" else name))
    here = score.score(loaded, delta.production_table(), predictions)
    wines = delta.production_table().read().frame
    session.sql("CREATE DATABASE wines")
    monkeypatch.setenv("WORKSHOP_TABLES", "spark_catalog.wines")
    delta.production_table().write(wines, {})
    cellar = score.predictions_table("dev-ann")
    scored = [score.score(loaded, delta.production_table(), cellar, 100) for _ in range(2)]
    assert [each.rows for each in scored] == [1_064, 1_064]
    assert score.batches_of(cellar) == [each.batch for each in scored]
    rows = session.table(f"wines.{unity_catalog.catalog_name(cellar.name)}").toPandas()
    for each in scored:
        found = rows[rows["batch"] == each.batch].set_index(WINE_ID)["probability"].astype("float64")
        assert {int(wine): np.float64(value).tobytes() for wine, value in found.items()} == bits(
            predictions, here.batch
        )
        np.testing.assert_array_equal(score.histogram(cellar, each.batch), score.histogram(predictions, here.batch))
    delta.named_table("strange").write(wines.assign(alcohol="strong"), {})
    with refusal("strange", "alcohol", "convert it to numbers"):
        score.score(loaded, delta.named_table("strange"), cellar)


def test_an_error_of_sparks_is_one_sentence(session: Any) -> None:
    with refusal("could not read it", "no_such_table"), unity_catalog.spark_explained("read it"):
        session.sql("SELECT * FROM no_such_table").collect()


def test_a_library_that_workers_lack_is_named(session: Any) -> None:
    def lacking(parts: Iterator[Any]) -> Iterator[Any]:
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401

        yield from parts

    with refusal("no_such_library", "PYSPARK_PYTHON"), unity_catalog.spark_explained("read it"):
        session.range(3).mapInArrow(lacking, "id bigint").collect()
