"""The rows that a candidate is compared on, and the same rows again when a decision is replayed."""

import pandas as pd
import pytest

from tests.support.models import refusal
from workshop.core.data import datasets
from workshop.core.data import tables as delta
from workshop.core.data.schemas import FEATURES


@pytest.fixture
def prepared(tables: None) -> pd.DataFrame:
    """What dev-ann has prepared."""
    development = datasets.load_wines(delta.development_table())
    return datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development).frame


def edit_production(**columns: float) -> pd.DataFrame:
    """Write another version of the production table, and return its rows."""
    edited = delta.production_table().read().frame.assign(**columns)
    delta.production_table().write(edited, {})
    return edited


def test_the_production_wines_are_those_of_today_or_of_a_version(tables: None) -> None:
    first = datasets.production_wines()
    assert first.label == "production@0"
    edited = edit_production(alcohol=10.0)
    today, before = datasets.production_wines(), datasets.production_wines(0)
    assert (today.label, before.label) == ("production@1", "production@0")
    pd.testing.assert_frame_equal(today.frame, edited)
    pd.testing.assert_frame_equal(before.frame, first.frame)


def test_production_wines_that_do_not_fit_are_handed_to_whoever_says_so(tables: None) -> None:
    edit_production(alcohol=99.0)
    assert datasets.production_wines().frame["alcohol"].unique().tolist() == [99.0]
    with refusal("alcohol", "99.0"):
        datasets.load_wines(delta.production_table())


def test_production_wines_that_nobody_has_made_are_refused(home: object) -> None:
    with refusal("production table is missing", "part_0_create_datasets"):
        datasets.production_wines()


def test_a_version_of_the_production_wines_that_is_not_there_is_refused(tables: None) -> None:
    with refusal("production@7"):
        datasets.production_wines(7)


def test_the_test_wines_are_the_test_part_of_what_the_run_has_prepared(prepared: pd.DataFrame) -> None:
    found = datasets.test_wines("dev-ann")
    assert (found.label, found.source) == ("prepared/dev-ann@0", "development@0")
    parts = datasets.split_prepared(prepared)
    pd.testing.assert_frame_equal(found.frame, parts.test)
    trained_on = parts.train[FEATURES].apply(tuple, axis=1)
    assert not found.frame[FEATURES].apply(tuple, axis=1).isin(trained_on).any()


def test_test_wines_that_no_run_has_prepared_are_refused(tables: None) -> None:
    with refusal("dev-ben", "part_1_1_data_prep"):
        datasets.test_wines("dev-ben")


def test_the_production_rows_of_a_comparison_come_back_by_their_label(tables: None) -> None:
    compared = datasets.production_wines()
    edit_production(alcohol=10.0)
    again = datasets.rows_compared_on(compared.label)
    assert again.label == compared.label
    pd.testing.assert_frame_equal(again.frame, compared.frame)


def test_the_test_rows_of_a_comparison_come_back_by_their_label(prepared: pd.DataFrame) -> None:
    compared = datasets.test_wines("dev-ann")
    fewer = prepared.iloc[: len(prepared) // 2].reset_index(drop=True)
    delta.prepared_table("dev-ann").write(fewer, {"run_id": ""})
    assert len(datasets.test_wines("dev-ann").frame) < len(compared.frame)
    again = datasets.rows_compared_on(compared.label)
    assert again.label == compared.label
    pd.testing.assert_frame_equal(again.frame, compared.frame)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("prepared/dev-ben@0", ["no table prepared/dev-ben", "in the home of the run"]),
        ("prepared/dev-ann@5", ["prepared/dev-ann@5"]),
        ("production@5", ["production@5"]),
    ],
)
def test_rows_that_this_home_does_not_have_are_refused(prepared: pd.DataFrame, label: str, words: list[str]) -> None:
    with refusal(*words):
        datasets.rows_compared_on(label)


def test_the_production_rows_of_another_home_are_refused(home: object) -> None:
    with refusal("production"):
        datasets.rows_compared_on("production@0")
