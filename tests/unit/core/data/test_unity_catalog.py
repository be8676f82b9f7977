"""Tables in Unity Catalog, against a stand-in for Spark that refuses statements without a reference.

The statements, options and calls are those of the Databricks reference: `DESCRIBE HISTORY`, `SELECT … VERSION AS OF`,
the writer's option `userMetadata`, table properties as options that begin with `delta.`, and `catalog.tableExists`.
Rows come back from it in another order than they were written, as from Spark.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from tests.support.models import refusal
from workshop.core.data import datasets, tables, unity_catalog
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.unity_catalog import CatalogTable, catalog_name
from workshop.core.scoring import score

ROWS = pd.DataFrame({"wine_id": [3, 1, 2], "alcohol": [9.5, 12.0, 11.1]})
_TABLE = r"(`main`\.`wines`\.`[a-z0-9_]+`)"


class AnalysisException(Exception):  # noqa: N818  # Spark's own name
    """The error that Spark raises."""

    __module__ = "pyspark.errors.exceptions.captured"


@dataclass
class Frame:
    """The part of a Spark frame that the kit uses."""

    session: "Session"
    rows: pd.DataFrame

    @property
    def columns(self) -> list[str]:
        return list(self.rows.columns)

    @property
    def write(self) -> "Writer":
        return Writer(self)

    def toPandas(self) -> pd.DataFrame:  # noqa: N802  # Spark's own name
        return self.rows.reset_index(drop=True)


@dataclass
class History:
    """The result of `DESCRIBE HISTORY`, with the columns that the kit reads."""

    commits: list[dict[str, Any]]

    def collect(self) -> list[dict[str, Any]]:
        return self.commits


@dataclass
class Writer:
    """The writer `frame.write`, with its options."""

    frame: Frame
    asked: dict[str, Any] = field(default_factory=dict)

    def format(self, name: str) -> "Writer":
        assert name == "delta"
        return self

    def mode(self, name: str) -> "Writer":
        assert name in ("overwrite", "append")
        self.asked["mode"] = name
        return self

    def options(self, **options: str) -> "Writer":
        assert all(isinstance(value, str) for value in options.values())
        assert all(name in ("userMetadata", "overwriteSchema") or name.startswith("delta.") for name in options)
        self.asked |= options
        return self

    def saveAsTable(self, name: str) -> None:  # noqa: N802  # Spark's own name
        assert re.fullmatch(_TABLE, name)
        versions = self.frame.session.tables.setdefault(name, [])
        same = not versions or list(versions[-1][0].columns) == list(self.frame.rows.columns)
        if not same and self.asked.get("overwriteSchema") != "true":
            raise AnalysisException("A schema mismatch detected when writing to the Delta table.\nDetails follow.")
        if versions:
            assert not any(option.startswith("delta.") for option in self.asked)
        versions.append((self.frame.rows, self.asked))


class Session:
    """A Spark session with Delta tables in `main.wines` and nothing else."""

    def __init__(self) -> None:
        self.tables: dict[str, list[tuple[pd.DataFrame, dict[str, Any]]]] = {}
        self.catalog = self

    def tableExists(self, name: str) -> bool:  # noqa: N802  # Spark's own name
        assert re.fullmatch(_TABLE, name)
        return name in self.tables

    def createDataFrame(self, rows: pd.DataFrame, schema: str) -> Frame:  # noqa: N802  # Spark's own name
        assert re.findall(r"`(\w+)`", schema) == list(rows.columns)
        return Frame(self, rows)

    def sql(self, statement: str) -> Frame | History:
        if history := re.fullmatch(rf"DESCRIBE HISTORY {_TABLE}", statement):
            commits = [
                {"version": number, "userMetadata": asked.get("userMetadata")}
                for number, (_, asked) in enumerate(self.tables[history[1]])
            ]
            return History(commits)
        selected = re.fullmatch(
            rf"SELECT \* FROM {_TABLE} VERSION AS OF (\d+)(?: ORDER BY (.+))?(?: LIMIT (\d+))?", statement
        )
        assert selected, f"Look up in the reference whether Databricks accepts: {statement}"
        rows = self.tables[selected[1]][int(selected[2])][0].sample(frac=1, random_state=1)
        if selected[3]:
            keys = re.findall(r"`(\w+)` ASC NULLS LAST", selected[3])
            assert ", ".join(f"`{key}` ASC NULLS LAST" for key in keys) == selected[3]
            rows = rows.sort_values(keys, na_position="last")
        return Frame(self, rows if selected[4] is None else rows.head(int(selected[4])))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """The active session, with tables in `main.wines`."""
    session = Session()
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    monkeypatch.setattr(unity_catalog, "active_session", lambda: session)
    return session


def test_tables_are_in_folders_unless_workshop_tables_is_set(session: Session, monkeypatch: Any) -> None:
    assert tables.named_table("production") == CatalogTable("production", "main.wines")
    monkeypatch.setenv("WORKSHOP_TABLES", "")
    assert isinstance(tables.named_table("production"), DeltaFolder)


def test_rows_are_read_in_the_order_of_writing(session: Session) -> None:
    table = tables.named_table("cellar")
    assert not table.exists()
    table.write(ROWS.set_index(pd.Index([7, 8, 9])), {"source": "vineyard@4"})
    assert table.exists()
    snapshot = table.read()
    pd.testing.assert_frame_equal(snapshot.frame, ROWS)
    assert (snapshot.label, snapshot.source) == ("cellar@0", "vineyard@4")
    ((_, options),) = session.tables["`main`.`wines`.`cellar`"]
    for name in ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration"):
        assert options[name] == "interval 36500 days"
    assert json.loads(options["userMetadata"]) == {"workshop": {"source": "vineyard@4"}}


def test_each_version_stays_and_is_found_by_its_metadata(session: Session) -> None:
    table = tables.named_table("cellar")
    for number, run_id in enumerate(("ann", "ben", "ann", "cid")):
        table.write(ROWS.assign(alcohol=float(number)), {"run_id": run_id, "source": f"vineyard@{number}"})
    assert (table.version_of(run_id="ann"), table.version_of(run_id="dan")) == (2, None)
    assert table.metadata_with("source") == {"run_id": "cid", "source": "vineyard@3"}
    assert [table.read(version).source for version in range(4)] == [f"vineyard@{number}" for number in range(4)]
    assert [set(table.read(version).frame["alcohol"]) for version in range(4)] == [{0.0}, {1.0}, {2.0}, {3.0}]


@pytest.mark.parametrize("metadata", [None, "", "nightly", "[1]", '{"workshop": 7}', '{"job": "nightly"}'])
def test_the_metadata_of_other_programs_is_ignored(session: Session, metadata: str | None) -> None:
    table = tables.named_table("cellar")
    table.write(ROWS, {"seed": "42"})
    versions = session.tables["`main`.`wines`.`cellar`"]
    versions.append((versions[0][0], {"userMetadata": metadata}))
    assert table.metadata_with("seed") == {"seed": "42"}
    assert (table.read().version, table.read().source) == (1, "")


def test_rows_with_other_columns_are_refused_in_one_sentence(session: Session) -> None:
    table = tables.named_table("cellar")
    table.write(ROWS, {})
    with refusal("cellar", "main.wines", "schema mismatch"):
        table.write(ROWS.assign(price=9.5), {})
    table.write(ROWS.assign(price=9.5), {}, new_columns=True)
    assert list(table.read().frame) == [*ROWS, "price"]


def test_a_missing_table_or_version_is_refused(session: Session) -> None:
    table = tables.named_table("cellar")
    with refusal("cellar", "write it first"):
        table.read()
    table.write(ROWS, {})
    with refusal("cellar@7", "0"):
        table.read(7)


def test_the_head_of_a_table_is_read_as_in_a_folder(session: Session) -> None:
    table = tables.named_table("predictions/dev-ann")
    table.write(ROWS, {})
    assert len(table.head(2)) == 2
    assert table.newest_version() == 0


def test_the_datasets_have_the_same_digests_as_in_folders(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    in_catalog = datasets.create_datasets()
    again = datasets.create_datasets()
    prepared = datasets.save_prepared(datasets.prepare(in_catalog[0].frame), "dev-ann", in_catalog[0])
    monkeypatch.setenv("WORKSHOP_TABLES", "")
    in_folders = datasets.create_datasets()
    assert [each.digest for each in in_catalog] == [each.digest for each in in_folders]
    assert [each.label for each in again] == ["development@0", "production@0"]
    assert prepared.source == "development@0"
    of_a_folder = datasets.save_prepared(datasets.prepare(in_folders[0].frame), "dev-ann", in_folders[0])
    assert datasets.split_prepared(prepared.frame).test.equals(datasets.split_prepared(of_a_folder.frame).test)


def test_a_missing_session_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    monkeypatch.setattr(unity_catalog, "active_session", lambda: None)
    for use in (
        lambda: tables.production_table().exists(),
        lambda: score.batches_of(score.predictions_table("dev-ann")),
    ):
        with refusal("no Spark session is active", "WORKSHOP_TABLES"):
            use()


def test_different_names_stay_different_and_plain_ones_readable() -> None:
    assert [catalog_name(name) for name in ("production", "prepared/no_name")] == ["production", "prepared__no_name"]
    names = ["prepared/dev-ana", "prepared/dev_ana", "prepared/dev.ana", "prepared__dev_ana", "prepared/dev__ana"]
    names += ["prepared/-", "prepared/_", "prepared_/x", "prepared/_x", "prepared/x", "prepared__x", "prepared/x_"]
    legal = [catalog_name(name) for name in names]
    assert len(set(legal)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]{1,255}", name) for name in legal)
