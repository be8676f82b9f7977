import hashlib
import re
import shutil
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
from workshop.core.settings import PACKAGE

seeds = st.integers(min_value=0, max_value=2**32 - 1)


# The originals


@pytest.mark.parametrize(
    ("name", "size", "rows", "digest"),
    [
        ("winequality-red.csv", 84_199, 1_599, "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"),
        ("winequality-white.csv", 264_426, 4_898, "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836"),
    ],
)
def test_the_files_are_the_originals_byte_for_byte(name: str, size: int, rows: int, digest: str) -> None:
    content = (PACKAGE / "originals" / name).read_bytes()
    assert len(content) == size
    assert len(content.splitlines()) == rows + 1
    assert hashlib.sha256(content).hexdigest() == digest
    assert f"{digest}  {name}" in (PACKAGE / "originals" / "SHA256SUMS").read_text().splitlines()


def test_the_originals_have_all_rows_in_order(originals: pd.DataFrame) -> None:
    assert len(originals) == 6_497
    assert list(originals.columns) == [WINE_ID, *FEATURES, "quality"]
    assert originals["is_red"].tolist() == [1.0] * 1_599 + [0.0] * 4_898
    assert originals[FEATURES].iloc[0].tolist() == [7.4, 0.7, 0, 1.9, 0.076, 11, 34, 0.9978, 3.51, 0.56, 9.4, 1]
    assert (originals.dtypes[FEATURES] == "float64").all()
    assert originals["quality"].min() == 3
    assert originals["quality"].max() == 9


def test_a_fifth_of_the_originals_is_of_high_quality(originals: pd.DataFrame) -> None:
    assert (originals["quality"] >= 7).mean() == pytest.approx(0.197, abs=0.0005)


# Which wines are one


def test_the_duplicates_are_found_and_the_first_of_each_is_kept(originals: pd.DataFrame) -> None:
    unique = datasets.without_duplicates(originals)
    assert len(originals) - len(unique) == 1_177
    assert not unique.duplicated(FEATURES).any()
    pd.testing.assert_frame_equal(unique, originals[~originals.duplicated(FEATURES)].reset_index(drop=True))


def test_a_wine_keeps_its_id_wherever_it_stands(originals: pd.DataFrame) -> None:
    shuffled = originals.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(datasets.wine_ids(shuffled), shuffled[WINE_ID], check_names=False)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_wine_that_differs_in_one_feature_is_another(originals: pd.DataFrame, feature: str) -> None:
    wines = originals.head(50)
    assert not datasets.wine_ids(wines.assign(**{feature: wines[feature] + 1})).isin(wines[WINE_ID]).any()


def test_the_quality_is_no_part_of_a_wines_identity(originals: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(
        datasets.wine_ids(originals.assign(quality=0)), originals[WINE_ID], check_names=False
    )


# The splits


@given(seed=seeds)
@hypothesis_settings(max_examples=25)
def test_no_seed_lets_two_parts_share_a_wine(originals: pd.DataFrame, seed: int) -> None:
    development, production = datasets.split_off_production(originals, seed)
    split = datasets.split_prepared(datasets.prepare(development))
    parts = [split.train, split.validation, split.test, production]
    ids = pd.concat([part[WINE_ID] for part in parts])
    assert ids.is_unique
    assert set(ids) == set(originals[WINE_ID])
    assert set(development[WINE_ID]).isdisjoint(production[WINE_ID])


@given(seed=seeds)
@hypothesis_settings(max_examples=10)
def test_every_part_is_alike_in_quality_and_colour(originals: pd.DataFrame, seed: int) -> None:
    development, production = datasets.split_off_production(originals, seed)
    split = datasets.split_prepared(datasets.prepare(development))
    unique = datasets.without_duplicates(originals)
    for part in (split.train, split.validation, split.test, datasets.prepare(production)):
        assert part[TARGET].mean() == pytest.approx((unique["quality"] >= 7).mean(), abs=0.003)
        assert part["is_red"].mean() == pytest.approx(unique["is_red"].mean(), abs=0.003)


def test_the_sizes_of_the_parts(originals: pd.DataFrame) -> None:
    development, production = datasets.split_off_production(originals, 42)
    split = datasets.split_prepared(datasets.prepare(development))
    assert (len(development), len(production)) == (4_256, 1_064)
    assert (len(split.train), len(split.validation), len(split.test)) == (2_553, 851, 852)


def test_the_seed_decides_which_wines_go_to_production(originals: pd.DataFrame) -> None:
    (_, one), (_, same), (_, other) = (datasets.split_off_production(originals, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert set(one[WINE_ID]) != set(other[WINE_ID])


def test_every_model_is_judged_on_the_same_test_wines(originals: pd.DataFrame) -> None:
    prepared = datasets.prepare(datasets.split_off_production(originals, 42)[0])
    one, other = datasets.split_prepared(prepared), datasets.split_prepared(prepared.copy())
    pd.testing.assert_frame_equal(one.test, other.test)
    pd.testing.assert_frame_equal(one.train, other.train)


def test_too_few_wines_to_split_are_refused(production: pd.DataFrame) -> None:
    with refusal("The 5 wines", "add wines"):
        datasets.split_prepared(production.head(5))


def test_high_quality_is_seven_and_more(originals: pd.DataFrame) -> None:
    prepared = datasets.prepare(datasets.without_duplicates(originals))
    assert prepared[TARGET].tolist() == [int(quality >= 7) for quality in prepared["quality"]]


# Bad originals


def first_line_only(content: bytes) -> bytes:
    return content.splitlines(keepends=True)[0]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return edit


RENAMED = replaced(b'"alcohol"', b'"strength"')
FIRST_WINE = b"7.4;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"


def wine(line: bytes) -> Callable[[bytes], bytes]:
    return replaced(FIRST_WINE, line)


def test_a_good_copy_in_another_folder_is_accepted(tmp_path: Path, originals: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(datasets.read_originals(originals_in(tmp_path / "copy")), originals)


@pytest.mark.parametrize("name", ["winequality-red.csv", "winequality-white.csv", "SHA256SUMS"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = originals_in(tmp_path / "copy")
    (folder / name).unlink()
    with refusal(str(folder / name), "is missing", "put" if name.endswith(".csv") else "sha256sum"):
        datasets.read_originals(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with refusal(str(tmp_path / "nowhere"), "is missing"):
        datasets.read_originals(tmp_path / "nowhere")


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    folder = originals_in(tmp_path / "copy")
    with (folder / "winequality-white.csv").open("ab") as file:
        file.write(b"\n")
    with refusal("winequality-white.csv", "sha256", "restore the file"):
        datasets.read_originals(folder)


def test_a_file_without_a_digest_is_refused(tmp_path: Path) -> None:
    folder = originals_in(tmp_path / "copy")
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().splitlines()[1] + "\n")
    with refusal("winequality-red.csv", "SHA256SUMS"):
        datasets.read_originals(folder)


@pytest.mark.parametrize("content", [b"   \n", b"4a402cf0\n", b"Algorithm Hash Path\n", b"\xe9\xff\n"])
def test_a_list_of_digests_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = originals_in(tmp_path / "copy")
    (folder / "SHA256SUMS").write_bytes(content)
    with refusal("SHA256SUMS"):
        datasets.read_originals(folder)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("  ", " *").encode(),
        lambda text: re.sub("^[0-9a-f]+", lambda digest: digest[0].upper(), text, flags=re.M).encode(),
        lambda text: re.sub("^[0-9a-f]+", lambda digest: digest[0].upper(), text, flags=re.M).encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
        lambda text: text.replace("  ", "  ./").encode(),
        lambda text: text.replace("  ", "  .\\").encode(),
        lambda text: re.sub(r"(\S+)  (\S+)", r"SHA256 (\2) = \1", text).encode(),
        lambda text: re.sub(r"(\S+)  (\S+)", r"SHA2-256(\2)= \1", text).encode(),
    ],
    ids=["binary", "capitals", "UTF-16", "UTF-8 with a mark", "./", ".\\", "BSD", "OpenSSL"],
)
def test_digests_are_read_as_other_tools_write_them(
    tmp_path: Path, originals: pd.DataFrame, written: Callable[[str], bytes]
) -> None:
    folder = originals_in(tmp_path / "copy")
    sums = folder / "SHA256SUMS"
    sums.write_bytes(written(sums.read_text()))
    assert len(datasets.read_originals(folder)) == len(originals)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (RENAMED, ["'alcohol'", "strength", "rename or restore"]),
        (lambda content: content.replace(b";", b","), ["'fixed_acidity'"]),
        (first_line_only, ["no wines", "restore"]),
        (lambda _: b"", []),
        (wine(b"7.4;much;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "much"]),
        (wine(b"7.4;;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "missing"]),
        (wine(b"7.4;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;five\n"), ["quality", "five"]),
        (wine(b"7.4;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5.5\n"), ["quality"]),
        (wine(b"7.4;70;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "70"]),
        (wine(FIRST_WINE.rstrip() + b";6;7\n"), []),
        (wine(b"\xff\xfe;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), []),
    ],
    ids=[
        "renamed column",
        "commas",
        "header only",
        "empty file",
        "text for a number",
        "empty cell",
        "text for the quality",
        "half a point of quality",
        "out of range",
        "more cells than columns",
        "not text",
    ],
)
def test_a_file_that_can_not_be_used_is_refused_even_with_the_right_digest(
    tmp_path: Path, edit: Callable[[bytes], bytes], words: list[str]
) -> None:
    # The digests in the folder are those of the edited files: somebody meant the change.
    folder = originals_in(tmp_path / "copy", red=edit)
    with refusal(*words):
        datasets.create_datasets(source_folder=folder)
    assert not delta.development_table().exists()
    assert not delta.production_table().exists()


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    folder = originals_in(tmp_path / "copy", white=RENAMED)
    with refusal(str(folder / "winequality-white.csv")):
        datasets.create_datasets(source_folder=folder)


# The two tables


def test_the_tables_are_made_once(home: Path) -> None:
    development, production = datasets.create_datasets(seed=7)
    again = datasets.create_datasets(seed=7)
    assert (development.label, production.label) == ("development@0", "production@0")
    assert (again[0].label, again[1].label) == ("development@0", "production@0")
    assert (len(development.frame), len(production.frame)) == (4_256, 1_064)
    assert set(development.frame[WINE_ID]).isdisjoint(production.frame[WINE_ID])


def test_the_tables_hold_what_the_split_gives(tables: None, originals: pd.DataFrame) -> None:
    development, production = datasets.split_off_production(originals, 42)
    pd.testing.assert_frame_equal(datasets.load_wines(delta.development_table()).frame, development)
    pd.testing.assert_frame_equal(datasets.load_wines(delta.production_table()).frame, production)


def test_tables_of_another_seed_are_not_drawn_again(tables: None) -> None:
    with refusal("another seed", "WORKSHOP_HOME"):
        datasets.create_datasets(seed=7)
    assert datasets.load_wines(delta.production_table()).version == 0


def test_tables_of_other_files_are_not_drawn_again(tables: None, tmp_path: Path) -> None:
    folder = originals_in(tmp_path / "copy", red=wine(b""))
    with refusal("other files", "WORKSHOP_HOME"):
        datasets.create_datasets(source_folder=folder)


def test_several_at_once_make_the_tables_once(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(datasets.create_datasets) for _ in range(4)]
    assert {(one.result()[0].label, one.result()[1].label) for one in made} == {("development@0", "production@0")}


@pytest.mark.parametrize("name", ["C# Kurs", "a%20b", "[x]", "what?", "a^b", "a|b", "a\\b"])
def test_a_home_whose_name_delta_can_not_take_is_refused_before_it_does_harm(
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
    """Somebody has begun to make the tables with seed 1, and was stopped between the two."""
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
def test_tables_that_were_begun_are_made_whole(interrupted: None, seed: int) -> None:
    development, production = datasets.create_datasets(seed)
    assert set(development.frame[WINE_ID]).isdisjoint(production.frame[WINE_ID])
    assert len(development.frame) + len(production.frame) == 5_320
    again = datasets.create_datasets(seed)
    assert (again[0].label, again[1].label) == (development.label, production.label)


def test_tables_that_were_begun_with_another_seed_are_not_taken_for_that_seeds(interrupted: None) -> None:
    datasets.create_datasets(seed=2)
    with refusal("another seed"):
        datasets.create_datasets(seed=1)


# Reading them


@pytest.mark.parametrize("table", [delta.development_table, delta.production_table])
def test_a_table_that_nobody_has_made_is_refused(table: Callable[[], Table]) -> None:
    with refusal(f"{table().name} table is missing", "part_0_create_datasets"):
        datasets.load_wines(table())


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda wines: wines.assign(alcohol=99.0), ["alcohol", "99.0"]),
        (lambda wines: wines.assign(alcohol=wines["alcohol"].where(wines.index != 5)), ["alcohol", "missing"]),
        (lambda wines: wines.drop(columns="alcohol"), ["alcohol", "missing"]),
        (lambda wines: wines.iloc[:0], ["no rows"]),
    ],
    ids=["out of range", "missing value", "missing column", "no rows"],
)
def test_a_table_that_does_not_fit_is_refused(
    wine_tables: Path, home: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], words: list[str]
) -> None:
    good = DeltaFolder("production", wine_tables / "production").read().frame
    delta.production_table().write(edit(good), {})
    with refusal("The table production", "correct the data", *words):
        datasets.load_wines(delta.production_table())


# A run's prepared wines


def test_prepared_wines_come_back_with_what_they_were_made_from(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    prepared = datasets.prepare(development.frame)
    saved = datasets.save_prepared(prepared, "dev-ann", development)
    assert (saved.label, saved.source) == ("prepared/dev-ann@0", "development@0")
    pd.testing.assert_frame_equal(saved.frame, prepared)


def test_each_run_reads_what_it_has_prepared_itself(tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_one_run_name_does_not_see_anothers_prepared_wines(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development)
    with refusal("dev-ben", "part_1_1_data_prep"):
        datasets.load_prepared("dev-ben")


def test_prepared_wines_that_were_spoiled_are_refused(tables: None) -> None:
    development = datasets.load_wines(delta.development_table())
    saved = datasets.save_prepared(datasets.prepare(development.frame), "dev-ann", development)
    delta.prepared_table("dev-ann").write(saved.frame.assign(**{TARGET: 3}), {"run_id": ""})
    with refusal("prepared/dev-ann", TARGET):
        datasets.load_prepared("dev-ann")


def test_a_new_home_starts_without_tables(tables: None, home: Path) -> None:
    shutil.rmtree(home)
    assert not delta.development_table().exists()
