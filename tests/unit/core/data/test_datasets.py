from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.models import originals_in, refusal
from workshop.core.data import datasets
from workshop.core.data import tables as delta
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.data.delta_table import Table
from workshop.core.data.schemas import FEATURES, TARGET, WINE_ID
from workshop.core.errors import WorkshopError

seeds = st.integers(min_value=0, max_value=2**32 - 1)


# Duplicates


def test_the_duplicates_are_found_and_the_first_of_each_is_kept(originals: pd.DataFrame) -> None:
    unique = datasets.without_duplicates(originals)
    assert len(originals) - len(unique) == 1_177
    assert not unique.duplicated(FEATURES).any()
    pd.testing.assert_frame_equal(unique, originals[~originals.duplicated(FEATURES)].reset_index(drop=True))


# The splits


@given(seed=seeds)
@hypothesis_settings(max_examples=min(25, hypothesis_settings().max_examples))
def test_the_parts_are_disjoint_and_stratified_for_every_seed(originals: pd.DataFrame, seed: int) -> None:
    development, production = datasets.split_off_production(originals, seed)
    split = datasets.split_prepared(datasets.prepare(development))
    parts = [split.train, split.validation, split.test, production]
    ids = pd.concat([part[WINE_ID] for part in parts])
    assert ids.is_unique
    assert set(ids) == set(originals[WINE_ID])
    assert set(development[WINE_ID]).isdisjoint(production[WINE_ID])
    assert (len(development), len(production)) == (4_256, 1_064)
    assert (len(split.train), len(split.validation), len(split.test)) == (2_553, 851, 852)
    unique = datasets.without_duplicates(originals)
    for part in parts:
        assert (part["quality"] >= 7).mean() == pytest.approx((unique["quality"] >= 7).mean(), abs=0.003)
        assert part["is_red"].mean() == pytest.approx(unique["is_red"].mean(), abs=0.003)


def test_the_seed_decides_which_wines_go_to_production(originals: pd.DataFrame) -> None:
    (_, one), (_, same), (_, other) = (datasets.split_off_production(originals, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert set(one[WINE_ID]) != set(other[WINE_ID])


def test_the_split_of_prepared_wines_is_the_same_for_every_model(originals: pd.DataFrame) -> None:
    prepared = datasets.prepare(datasets.split_off_production(originals, 42)[0])
    assert prepared[TARGET].tolist() == [int(quality >= 7) for quality in prepared["quality"]]
    one, other = datasets.split_prepared(prepared), datasets.split_prepared(prepared.copy())
    pd.testing.assert_frame_equal(one.test, other.test)
    pd.testing.assert_frame_equal(one.train, other.train)


def test_too_few_wines_to_split_are_refused(production: pd.DataFrame) -> None:
    with refusal("The 5 wines", "add wines"):
        datasets.split_prepared(production.head(5))


# A sample


@pytest.fixture(scope="module")
def all_prepared(originals: pd.DataFrame) -> pd.DataFrame:
    """The development wines, prepared."""
    return datasets.prepare(datasets.split_off_production(originals, 42)[0])


@given(shares=st.tuples(*[st.floats(min_value=0.02, max_value=1)] * 2).map(sorted))
@hypothesis_settings(max_examples=min(25, hypothesis_settings().max_examples))
def test_a_sampled_wine_stays_in_its_part(all_prepared: pd.DataFrame, shares: list[float]) -> None:
    small, large, every = (datasets.split_prepared(datasets.sample(all_prepared, share)) for share in (*shares, 1))
    for part in ("train", "validation", "test"):
        few, more, whole = (getattr(split, part) for split in (small, large, every))
        assert set(few[WINE_ID]) <= set(more[WINE_ID]) <= set(whole[WINE_ID])
        assert len(few) == pytest.approx(shares[0] * len(whole), abs=2)
        assert few[TARGET].mean() == pytest.approx(whole[TARGET].mean(), abs=1 / len(few))


def test_the_whole_sample_is_the_prepared_wines_unchanged(all_prepared: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(datasets.sample(all_prepared, 1.0), all_prepared)


def test_a_sample_is_the_same_each_time_and_in_the_order_of_the_wines(all_prepared: pd.DataFrame) -> None:
    once = datasets.sample(all_prepared, 0.2)
    pd.testing.assert_frame_equal(once, datasets.sample(all_prepared.copy(), 0.2))
    assert once[WINE_ID].tolist() == [wine for wine in all_prepared[WINE_ID] if wine in set(once[WINE_ID])]


def test_a_sample_without_a_quality_and_colour_is_refused(all_prepared: pd.DataFrame) -> None:
    with refusal("sample of 0.01", "validation wines", "raise sample"):
        datasets.sample(all_prepared, 0.01)


def test_a_run_name_prepares_a_sample_then_all_wines(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    every = datasets.prepare(development.frame)
    saved = [
        datasets.save_prepared(wines, "dev-ann", development) for wines in (every, datasets.sample(every, 0.2), every)
    ]
    assert [one.source for one in saved] == ["development@0", "development@0 (851 of 4,256 wines)", "development@0"]
    sampled, whole = (datasets.split_prepared(one.frame).test for one in saved[1:])
    assert set(sampled[WINE_ID]) < set(whole[WINE_ID])
    pd.testing.assert_frame_equal(whole, datasets.split_prepared(every).test)
    assert datasets.rows_compared_on("prepared/dev-ann@1").digest != datasets.test_wines("dev-ann").digest


# The two tables


def test_the_tables_are_written_once(home: Path, originals: pd.DataFrame) -> None:
    development, production = datasets.create_datasets(seed=7)
    again = datasets.create_datasets(seed=7)
    assert (development.label, production.label) == ("development@0", "production@0")
    assert (again[0].label, again[1].label) == ("development@0", "production@0")
    parts = datasets.split_off_production(originals, 7)
    pd.testing.assert_frame_equal(datasets.load_wines(delta.development_table()).frame, parts[0])
    pd.testing.assert_frame_equal(datasets.load_wines(delta.production_table()).frame, parts[1])


def test_tables_of_another_seed_or_other_files_are_not_replaced(tables: None, tmp_path: Path) -> None:
    with refusal("another seed", "WORKSHOP_HOME"):
        datasets.create_datasets(seed=7)
    folder = originals_in(tmp_path / "copy", red=lambda content: content.rsplit(b"\n", 2)[0] + b"\n")
    with refusal("other files", "WORKSHOP_HOME"):
        datasets.create_datasets(source_folder=folder)
    assert datasets.load_wines(delta.production_table()).version == 0


def test_simultaneous_calls_write_the_tables_once(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(datasets.create_datasets) for _ in range(4)]
    assert {(one.result()[0].label, one.result()[1].label) for one in made} == {("development@0", "production@0")}


@pytest.mark.parametrize("name", ["C# Kurs", "a%20b", "[x]", "what?", "a^b", "a|b", "a\\b"])
def test_a_home_whose_name_delta_does_not_accept_is_refused_before_a_write(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_HOME", str(home / name))
    try:
        _, production = datasets.create_datasets()
    except WorkshopError as error:
        assert "WORKSHOP_HOME" in str(error)
        assert not list(home.rglob("_delta_log"))
    else:
        assert len(production.frame) == 1_064


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The creation of the tables with seed 1 was interrupted between the two."""
    written: list[DeltaFolder] = []

    def stop_before_the_second(table: DeltaFolder, frame: pd.DataFrame, commit_metadata: Mapping[str, str]) -> None:
        if written:
            raise KeyboardInterrupt
        write(table, frame, commit_metadata)
        written.append(table)

    write = DeltaFolder.write
    with monkeypatch.context() as patch:
        patch.setattr(DeltaFolder, "write", stop_before_the_second)
        with pytest.raises(KeyboardInterrupt):
            datasets.create_datasets(seed=1)
    assert delta.development_table().exists() != delta.production_table().exists()


@pytest.mark.parametrize("seed", [1, 2])
def test_an_interrupted_creation_is_completed(interrupted: None, seed: int) -> None:
    development, production = datasets.create_datasets(seed)
    assert set(development.frame[WINE_ID]).isdisjoint(production.frame[WINE_ID])
    assert len(development.frame) + len(production.frame) == 5_320
    again = datasets.create_datasets(seed)
    assert (again[0].label, again[1].label) == (development.label, production.label)
    with refusal("another seed"):
        datasets.create_datasets(seed=3 - seed)


# Reading them


@pytest.mark.parametrize("table", [delta.development_table, delta.production_table])
def test_a_missing_table_is_refused(table: Callable[[], Table]) -> None:
    with refusal(f"{table().name} table is missing", "part_0_create_datasets"):
        datasets.load_wines(table())


def test_only_load_wines_checks_the_schema(tables: None) -> None:
    edit_production(alcohol=99.0)
    assert datasets.production_wines().frame["alcohol"].unique().tolist() == [99.0]
    with refusal("The table production", "correct the data", "alcohol", "99.0"):
        datasets.load_wines(delta.production_table())


# A run's prepared wines


def test_each_run_reads_the_wines_that_it_has_prepared(tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    development = datasets.load_wines(delta.development_table())
    prepared = datasets.prepare(development.frame)
    for run_id in ("one", "two"):
        monkeypatch.setenv("WORKSHOP_RUN_ID", run_id)
        datasets.save_prepared(prepared, "dev-ann", development)
    seen = {}
    for run_id in ("one", "two", "three"):
        monkeypatch.setenv("WORKSHOP_RUN_ID", run_id)
        seen[run_id] = datasets.load_prepared("dev-ann").version
    assert seen == {"one": 0, "two": 1, "three": 1}


def test_run_names_have_prepared_wines_of_their_own(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development)
    with refusal("dev-ben", "part_1_1_data_prep"):
        datasets.load_prepared("dev-ben")


def test_damaged_prepared_wines_are_refused(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    saved = datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development)
    delta.prepared_table("dev-ann").write(saved.frame.assign(**{TARGET: 3}), {"run_id": ""})
    with refusal("prepared/dev-ann", TARGET):
        datasets.load_prepared("dev-ann")


# The rows of a comparison


@pytest.fixture
def prepared(tables: None) -> pd.DataFrame:
    """The wines that dev-ann has prepared."""
    development = datasets.load_wines(delta.development_table())
    return datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development).frame


def edit_production(**columns: float) -> pd.DataFrame:
    """Write another version of the production table, and return its rows."""
    edited = delta.production_table().read().frame.assign(**columns)
    delta.production_table().write(edited, {})
    return edited


def test_production_wines_are_read_at_the_newest_or_a_given_version(tables: None) -> None:
    first = datasets.production_wines()
    assert first.label == "production@0"
    edited = edit_production(alcohol=10.0)
    today, before = datasets.production_wines(), datasets.production_wines(0)
    assert (today.label, before.label) == ("production@1", "production@0")
    pd.testing.assert_frame_equal(today.frame, edited)
    pd.testing.assert_frame_equal(before.frame, first.frame)
    again = datasets.rows_compared_on(first.label)
    assert (again.label, again.digest) == (first.label, first.digest)


def test_the_test_wines_are_the_test_part_of_the_prepared_wines(prepared: pd.DataFrame) -> None:
    found = datasets.test_wines("dev-ann")
    assert (found.label, found.source) == ("prepared/dev-ann@0", "development@0")
    parts = datasets.split_prepared(prepared)
    pd.testing.assert_frame_equal(found.frame, parts.test)
    trained_on = parts.train[FEATURES].apply(tuple, axis=1)
    assert not found.frame[FEATURES].apply(tuple, axis=1).isin(trained_on).any()


def test_the_test_rows_of_a_comparison_are_found_by_their_label(prepared: pd.DataFrame) -> None:
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
def test_missing_rows_are_refused(prepared: pd.DataFrame, label: str, words: list[str]) -> None:
    with refusal(*words):
        datasets.rows_compared_on(label)
