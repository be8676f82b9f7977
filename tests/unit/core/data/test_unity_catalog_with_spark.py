"""The order of rows, their values and the errors of tables in Unity Catalog, with a real local Spark."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.models import refusal
from tests.support.spark import MARKS, local_spark
from workshop.core.data import tables as delta
from workshop.core.data import unity_catalog
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.schemas import WINE_ID

pytest.importorskip("pyspark", reason="Spark is not installed: `make spark` installs it")
pytestmark = MARKS


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The session of a local Spark."""
    with local_spark(tmp_path_factory.mktemp("warehouse")) as started:
        yield started


def test_spark_returns_rows_in_the_order_of_writing(tables: None, session: Any) -> None:
    written = delta.production_table().read()
    shuffled = unity_catalog.numbered(session, written.frame).repartition(7, WINE_ID)
    assert [row[WINE_ID] for row in shuffled.collect()] != written.frame[WINE_ID].tolist()
    shuffled.createOrReplaceTempView("shuffled")
    query = unity_catalog.in_written_order("shuffled", shuffled.columns)
    read = session.sql(query).toPandas().drop(columns=unity_catalog.ROW)
    assert Snapshot("production", 0, read).digest == written.digest
    assert read.dtypes.to_dict() == written.frame.dtypes.to_dict()


def test_rows_without_a_position_come_last_in_a_fixed_order(tables: None, session: Any) -> None:
    wines = delta.production_table().read().frame
    known = unity_catalog.numbered(session, wines.iloc[:600])
    foreign = unity_catalog.numbered(session, wines.iloc[600:]).drop(unity_catalog.ROW)
    digests = set()
    for parts in (2, 5):
        both = known.unionByName(foreign, allowMissingColumns=True).repartition(parts)
        both.createOrReplaceTempView("appended")
        read = session.sql(unity_catalog.in_written_order("appended", both.columns)).toPandas()
        assert read[WINE_ID][:600].tolist() == wines[WINE_ID][:600].tolist()
        digests.add(Snapshot("production", 0, read).digest)
    assert len(digests) == 1


def test_missing_values_are_kept(session: Any) -> None:
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


def test_an_error_of_spark_is_one_sentence(session: Any) -> None:
    with refusal("could not read it", "no_such_table"), unity_catalog.spark_explained("read it"):
        session.sql("SELECT * FROM no_such_table").collect()


def test_a_module_missing_on_the_workers_is_named(session: Any) -> None:
    def importing(parts: Iterator[Any]) -> Iterator[Any]:
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401

        yield from parts

    with refusal("no_such_library", "PYSPARK_PYTHON"), unity_catalog.spark_explained("read it"):
        session.range(3).mapInArrow(importing, "id bigint").collect()
