"""The original files: checked against their digests, and read with their duplicates."""

import codecs
import hashlib
import re
import warnings
from pathlib import Path

import pandas as pd

from kit_common.sanitize import first_sentence
from workshop.core.data.schemas import FEATURES, PHYSICOCHEMICAL, WINE_ID
from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.settings import PACKAGE

ORIGINALS = {"winequality-red.csv": 1.0, "winequality-white.csv": 0.0}
"""The original files, with the value of `is_red` for their wines."""
_DIGEST = "[0-9a-fA-F]{64}"
_DIGEST_LINE = re.compile(
    rf"SHA2?-?256 ?\((?P<tagged>.+)\) ?= ?(?P<of_tagged>{_DIGEST})|(?P<digest>{_DIGEST})\s+(?P<name>.+)"
)


def read_originals(folder: Path | None = None) -> pd.DataFrame:
    """Check the digests of both original files and read them, with their duplicates.

    Args:
        folder: with the two CSV files and their SHA256SUMS; None for the files of the kit.

    Returns:
        The columns of `FEATURES`, `wine_id` and `quality`; red wines first.

    Raises:
        WorkshopError: a file or a column is missing, or a file is altered or empty.
    """
    folder = folder or PACKAGE / "originals"
    digests = _expected_digests(folder / "SHA256SUMS")
    frames = [_read_original(folder / name, digests, is_red) for name, is_red in ORIGINALS.items()]
    wines = pd.concat(frames, ignore_index=True)
    wines.insert(0, WINE_ID, wine_ids(wines))
    return wines


def wine_ids(wines: pd.DataFrame) -> pd.Series:
    """Compute the id of each wine from its features: equal measurements and colour, equal id."""
    hashes = pd.util.hash_pandas_object(wines[FEATURES], index=False)
    return pd.Series(hashes.to_numpy().view("int64"), index=wines.index)


def _read_original(path: Path, digests: dict[str, str], is_red: float) -> pd.DataFrame:
    content = _content(path, "put the original file there")
    if hashlib.sha256(content).hexdigest() != digests.get(path.name):
        raise WorkshopError(
            f"{path} is not the file whose sha256 is in SHA256SUMS beside it: restore the file "
            "(`git checkout` for the kit's own), or write its new digest there if the change is intended."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas only warns about cells without a column
            wines = pd.read_csv(path, sep=";", index_col=False)
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise WorkshopError(f"{path} is not a table of wines ({first_sentence(error)}): restore the file.") from error
    wines.columns = [column.strip().lower().replace(" ", "_") for column in wines.columns]
    expected = [*PHYSICOCHEMICAL, "quality"]
    if missing := [column for column in expected if column not in wines.columns]:
        raise WorkshopError(
            f"{path}: the column {missing[0]!r} is missing among {', '.join(wines.columns)}: rename or restore it."
        )
    if wines.empty:
        raise WorkshopError(f"{path} has a header but no wines: restore the rows.")
    numbers = pd.DataFrame({column: _numbers(wines[column], path) for column in expected})
    return numbers.assign(is_red=is_red)[[*FEATURES, "quality"]]


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """Convert a column of the file to float64, or, for the quality, to int64."""
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    if numbers.isna().any():
        where = int(numbers.isna().argmax())
        problem = "is missing" if pd.isna(column.iloc[where]) else f"is {column.iloc[where]!r} and not a number"
        raise WorkshopError(f"{path}: {column.name} {problem} in line {where + 2}: correct the line.")
    if column.name != "quality":
        return numbers
    if not (numbers == numbers.round()).all():
        raise WorkshopError(f"{path}: the quality has fractions: correct it, the panel's marks are whole numbers.")
    return numbers.astype("int64")


def _expected_digests(sums: Path) -> dict[str, str]:
    """Return the digest of each file that a list contains, in the forms of sha256sum, BSD, OpenSSL and PowerShell."""
    make_it = "make it with `sha256sum *.csv > SHA256SUMS` in the folder of the CSV files"
    content = _content(sums, make_it)
    # PowerShell 5 redirects into UTF-16.
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise WorkshopError(f"{sums} is not a text file: {make_it}.") from error
    entries = [_DIGEST_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if None in entries:
        raise WorkshopError(f"{sums} is not a list of digests: {make_it}.")
    return {_file_name(e["name"] or e["tagged"]): (e["digest"] or e["of_tagged"]).lower() for e in entries if e}


def _content(path: Path, advice: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WorkshopError(f"{path} is missing: {advice}.") from error
    except OSError as error:
        raise explain_os_error(error) from error


def _file_name(written: str) -> str:
    return written.strip().removeprefix("*").replace("\\", "/").removeprefix("./")
