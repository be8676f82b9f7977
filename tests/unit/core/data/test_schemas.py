from collections.abc import Callable

import pandas as pd
import pytest

from tests.support.models import refusal
from workshop.core.data.schemas import FEATURES, PREPARED, TARGET, WINES, check_schema


@pytest.fixture(scope="session")
def wines(production: pd.DataFrame) -> pd.DataFrame:
    """Wines that fit the schema."""
    return production.drop(columns=TARGET)


def with_third_value(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda wines: wines.assign(**{column: wines[column].where(wines.index != 2, value)})


def test_fitting_wines_are_returned_unchanged(wines: pd.DataFrame, production: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(check_schema(wines.copy(), WINES, "production"), wines)
    pd.testing.assert_frame_equal(check_schema(production.copy(), PREPARED, "prepared"), production)


def test_the_twelve_features_contain_neither_label_nor_id(wines: pd.DataFrame) -> None:
    assert len(set(FEATURES)) == 12
    assert set(wines.columns) - set(FEATURES) == {"wine_id", "quality"}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (with_third_value("alcohol", 99.0), ["alcohol", "99.0", "5.0", "20.0"]),
        (with_third_value("ph", float("inf")), ["ph", "inf"]),
        (with_third_value("is_red", 0.5), ["is_red", "0.5"]),
        (with_third_value("quality", 11), ["quality", "11", "10"]),
        (with_third_value("sulphates", None), ["sulphates", "missing"]),
        (with_third_value("quality", None), ["quality", "missing"]),
        (lambda wines: wines.drop(columns="ph"), ["column ph is missing"]),
        (lambda wines: wines.assign(price=1.0), ["column price is unknown"]),
        (lambda wines: wines.iloc[:0], ["no rows"]),
        (lambda wines: wines.assign(alcohol=wines["alcohol"].astype("int64")), ["alcohol", "float64", "int64"]),
        (lambda wines: wines.assign(alcohol="very\nstrong"), ["alcohol", "float64"]),
        (lambda wines: pd.concat([wines, wines[["ph"]]], axis=1), ["ph"]),
        (lambda wines: pd.DataFrame(), ["is missing"]),
    ],
)
def test_wines_that_do_not_fit_are_refused_with_the_column_and_the_value(
    wines: pd.DataFrame, edit: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    with refusal("The table production", *words):
        check_schema(edit(wines), WINES, "production")


def test_a_repeated_wine_is_refused_in_one_sentence(wines: pd.DataFrame) -> None:
    twice = pd.concat([wines, wines.iloc[:1]], ignore_index=True)
    with refusal("wine_id", str(wines["wine_id"].iloc[0])) as caught:
        check_schema(twice, WINES, "production")
    assert "field_uniqueness" not in str(caught.value)


def test_prepared_wines_need_a_label_of_zero_or_one(wines: pd.DataFrame, production: pd.DataFrame) -> None:
    with refusal(f"column {TARGET} is missing"):
        check_schema(wines, PREPARED, "prepared/me")
    with refusal(TARGET, "2"):
        check_schema(with_third_value(TARGET, 2)(production), PREPARED, "prepared/me")
