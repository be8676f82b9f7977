import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.support.models import originals_in, refusal
from workshop.core.data import datasets, tables
from workshop.core.data.originals import read_originals, wine_ids
from workshop.core.data.schemas import FEATURES, WINE_ID
from workshop.core.settings import PACKAGE


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
    assert (originals["quality"] >= 7).mean() == pytest.approx(0.197, abs=0.0005)


def test_the_id_of_a_wine_depends_on_its_features_alone(originals: pd.DataFrame) -> None:
    shuffled = originals.sample(frac=1, random_state=1).assign(quality=0)
    pd.testing.assert_series_equal(wine_ids(shuffled), shuffled[WINE_ID], check_names=False)


@pytest.mark.parametrize("feature", FEATURES)
def test_wines_that_differ_in_one_feature_have_other_ids(originals: pd.DataFrame, feature: str) -> None:
    wines = originals.head(50)
    assert not wine_ids(wines.assign(**{feature: wines[feature] + 1})).isin(wines[WINE_ID]).any()


# Bad originals


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return edit


FIRST_WINE = b"7.4;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"


def wine(line: bytes) -> Callable[[bytes], bytes]:
    return replaced(FIRST_WINE, line)


def test_a_good_copy_in_another_folder_is_accepted(tmp_path: Path, originals: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(read_originals(originals_in(tmp_path / "copy")), originals)


@pytest.mark.parametrize("name", ["winequality-red.csv", "winequality-white.csv", "SHA256SUMS"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = originals_in(tmp_path / "copy")
    (folder / name).unlink()
    with refusal(str(folder / name), "is missing", "put" if name.endswith(".csv") else "sha256sum"):
        read_originals(folder)
    shutil.rmtree(folder)
    with refusal(str(folder), "is missing"):
        read_originals(folder)


def test_a_file_with_another_digest_or_without_one_is_refused(tmp_path: Path) -> None:
    folder = originals_in(tmp_path / "copy")
    with (folder / "winequality-white.csv").open("ab") as file:
        file.write(b"\n")
    with refusal("winequality-white.csv", "sha256", "restore the file"):
        read_originals(folder)
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().splitlines()[1] + "\n")
    with refusal("winequality-red.csv", "SHA256SUMS"):
        read_originals(folder)


@pytest.mark.parametrize("content", [b"   \n", b"4a402cf0\n", b"Algorithm Hash Path\n", b"\xe9\xff\n"])
def test_a_file_without_a_list_of_digests_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = originals_in(tmp_path / "copy")
    (folder / "SHA256SUMS").write_bytes(content)
    with refusal("SHA256SUMS"):
        read_originals(folder)


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
    assert len(read_originals(folder)) == len(originals)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (replaced(b'"alcohol"', b'"strength"'), ["winequality-red.csv", "'alcohol'", "strength", "rename or restore"]),
        (lambda content: content.replace(b";", b","), ["'fixed_acidity'"]),
        (lambda content: content.splitlines(keepends=True)[0], ["no wines", "restore"]),
        (wine(b"7.4;much;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "much"]),
        (wine(b"7.4;;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "missing"]),
        (wine(b"7.4;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5.5\n"), ["quality"]),
        (wine(b"7.4;70;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), ["volatile_acidity", "70"]),
        (wine(FIRST_WINE.rstrip() + b";6;7\n"), []),
        (wine(b"\xff\xfe;0.7;0;1.9;0.076;11;34;0.9978;3.51;0.56;9.4;5\n"), []),
    ],
)
def test_a_bad_file_with_the_right_digest_is_refused(
    tmp_path: Path, edit: Callable[[bytes], bytes], words: list[str]
) -> None:
    folder = originals_in(tmp_path / "copy", red=edit)
    with refusal(*words):
        datasets.create_datasets(source_folder=folder)
    assert not tables.development_table().exists()
    assert not tables.production_table().exists()
