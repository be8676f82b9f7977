"""Tables in Unity Catalog, against a stand-in for Spark that refuses every statement that we have no reference for.

The statements, options and calls are those of the Databricks reference: `DESCRIBE HISTORY`, `SELECT … VERSION AS OF`,
the writer's option `userMetadata`, table properties as options that begin with `delta.`, and `catalog.tableExists`.
Rows come back from it in another order than they were written, as from Spark.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
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
    """As Spark raises it."""

    __module__ = "pyspark.errors.exceptions.captured"


@dataclass
class Frame:
    """A Spark frame, as far as it is needed."""

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
    """What `DESCRIBE HISTORY` gives, with the columns that we read."""

    commits: list[dict[str, Any]]

    def collect(self) -> list[dict[str, Any]]:
        return self.commits


@dataclass
class Writer:
    """What `frame.write` gives, and what has been asked of it."""

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
        assert all(name == "userMetadata" or name.startswith("delta.") for name in options)
        self.asked |= options
        return self

    def saveAsTable(self, name: str) -> None:  # noqa: N802  # Spark's own name
        assert re.fullmatch(_TABLE, name)
        versions = self.frame.session.tables.setdefault(name, [])
        if versions and list(versions[-1][0].columns) != list(self.frame.rows.columns):
            raise AnalysisException("A schema mismatch detected when writing to the Delta table.\nDetails follow.")
        if versions:
            assert not any(option.startswith("delta.") for option in self.asked)
        versions.append((self.frame.rows, self.asked))


class Session:
    """A Spark session that knows Delta tables in `main.wines`, and nothing else."""

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
        assert selected, f"Nobody has looked up whether Databricks takes: {statement}"
        rows = self.tables[selected[1]][int(selected[2])][0].sample(frac=1, random_state=1)
        if selected[3]:
            keys = re.findall(r"`(\w+)` ASC NULLS LAST", selected[3])
            assert ", ".join(f"`{key}` ASC NULLS LAST" for key in keys) == selected[3]
            rows = rows.sort_values(keys, na_position="last")
        return Frame(self, rows if selected[4] is None else rows.head(int(selected[4])))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """The active session, where tables are kept in `main.wines`."""
    session = Session()
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    monkeypatch.setattr(unity_catalog, "active_session", lambda: session)
    return session


def test_tables_are_folders_unless_the_environment_says_otherwise(session: Session, monkeypatch: Any) -> None:
    assert tables.named_table("production") == CatalogTable("production", "main.wines")
    monkeypatch.setenv("WORKSHOP_TABLES", "")
    assert isinstance(tables.named_table("production"), DeltaFolder)


def test_rows_come_back_in_the_order_in_which_they_were_written(session: Session) -> None:
    table = tables.named_table("cellar")
    assert not table.exists()
    table.write(ROWS.set_index(pd.Index([7, 8, 9])), {"source": "vineyard@4"})
    assert table.exists()
    snapshot = table.read()
    pd.testing.assert_frame_equal(snapshot.frame, ROWS)
    assert (snapshot.label, snapshot.source) == ("cellar@0", "vineyard@4")


def test_a_table_has_the_same_digest_wherever_it_is_kept(session: Session, home: Path) -> None:
    folder, table = DeltaFolder("cellar", home / "cellar"), tables.named_table("cellar")
    for each in (folder, table):
        each.write(ROWS, {})
    assert table.read().digest == folder.read().digest


def test_each_version_stays_and_is_found_by_what_was_metadata_with(session: Session) -> None:
    table = tables.named_table("cellar")
    for number, run_id in enumerate(("ann", "ben", "ann", "cid")):
        table.write(ROWS.assign(alcohol=float(number)), {"run_id": run_id, "source": f"vineyard@{number}"})
    assert (table.version_of(run_id="ann"), table.version_of(run_id="dan")) == (2, None)
    assert table.metadata_with("source") == {"run_id": "cid", "source": "vineyard@3"}
    assert [table.read(version).source for version in range(4)] == [f"vineyard@{number}" for number in range(4)]
    assert [set(table.read(version).frame["alcohol"]) for version in range(4)] == [{0.0}, {1.0}, {2.0}, {3.0}]


def test_versions_are_not_thrown_away_after_a_week(session: Session) -> None:
    tables.named_table("cellar").write(ROWS, {})
    ((_, asked),) = session.tables["`main`.`wines`.`cellar`"]
    assert asked["delta.deletedFileRetentionDuration"] == asked["delta.logRetentionDuration"] == "interval 36500 days"
    assert json.loads(asked["userMetadata"]) == {"workshop": {}}


@pytest.mark.parametrize("said", [None, "", "nightly", "[1]", '{"workshop": 7}', '{"job": "nightly"}'])
def test_what_others_say_of_their_commits_is_nothing_to_us(session: Session, said: str | None) -> None:
    table = tables.named_table("cellar")
    table.write(ROWS, {"seed": "42"})
    versions = session.tables["`main`.`wines`.`cellar`"]
    versions.append((versions[0][0], {"userMetadata": said}))
    assert table.metadata_with("seed") == {"seed": "42"}
    assert (table.read().version, table.read().source) == (1, "")


def test_rows_of_another_shape_are_refused_in_one_sentence(session: Session) -> None:
    table = tables.named_table("cellar")
    table.write(ROWS, {})
    with refusal("cellar", "main.wines", "schema mismatch"):
        table.write(ROWS.assign(price=9.5), {})


def test_a_table_or_version_that_is_not_there_is_refused(session: Session) -> None:
    table = tables.named_table("cellar")
    with refusal("cellar", "write it first"):
        table.read()
    table.write(ROWS, {})
    with refusal("cellar@7", "0"):
        table.read(7)


def test_the_head_of_a_table_is_looked_at_as_that_of_a_folder(session: Session) -> None:
    table = tables.named_table("predictions/dev-ann")
    table.write(ROWS, {})
    assert len(table.open().to_pyarrow_dataset().head(2).to_pandas()) == 2
    assert table.open().version() == 0


def test_the_datasets_are_the_same_as_in_folders(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_without_a_session_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wines")
    monkeypatch.setattr(unity_catalog, "active_session", lambda: None)
    for use in (
        lambda: tables.production_table().exists(),
        lambda: score.batches_of(score.predictions_table("dev-ann")),
    ):
        with refusal("no Spark session is active", "WORKSHOP_TABLES"):
            use()


@pytest.mark.parametrize(
    ("name", "legal"),
    [("production", "production"), ("prepared/no_name", "prepared__no_name"), ("wines_2024", "wines_2024")],
)
def test_a_plain_name_stays_readable(name: str, legal: str) -> None:
    assert catalog_name(name) == legal


def test_no_two_names_become_one() -> None:
    names = ["prepared/dev-ana", "prepared/dev_ana", "prepared/dev.ana", "prepared__dev_ana", "prepared/dev__ana"]
    names += ["prepared/-", "prepared/_", "prepared_/x", "prepared/_x", "prepared/x", "prepared__x", "prepared/x_"]
    legal = [catalog_name(name) for name in names]
    assert len(set(legal)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]{1,255}", name) for name in legal)
