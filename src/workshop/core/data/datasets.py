"""The tables of wines and their rows.

Every table is a Delta table, so each run records the versions of its data, and no run's rows are ever lost.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from filelock import FileLock
from sklearn.model_selection import train_test_split

from kit_common.sanitize import first_sentence
from workshop.core.data import schemas
from workshop.core.data.delta_table import Snapshot, Table
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import PART, PREPARED, TARGET, WINE_ID, WINES, check_schema
from workshop.core.data.tables import development_table, prepared_table, production_table
from workshop.core.errors import WorkshopError
from workshop.core.settings import PREPARATION, current_settings

HIGH_QUALITY = 7
PRODUCTION_SHARE = 0.2
SPLIT_SEED = 20
"""Fixed, not a parameter: with different test wines per run, one model's test wines would be another one's training
wines, and the model that had seen them would win the comparison."""


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of the prepared wines."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def without_duplicates(wines: pd.DataFrame) -> pd.DataFrame:
    """Keep the first row of each wine.

    Call this before any split: with a duplicate on each side, a model would be tested on a wine that it has seen.
    """
    return wines.drop_duplicates(subset=WINE_ID, ignore_index=True)


def split_off_production(wines: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into disjoint development and production wines, four to one, stratified by quality and colour.

    Raises:
        WorkshopError: there are too few wines for a stratified split.
    """
    unique = without_duplicates(wines)
    development, production = _stratified(unique, unique["quality"] >= HIGH_QUALITY, PRODUCTION_SHARE, seed)
    return development.reset_index(drop=True), production.reset_index(drop=True)


def split_prepared(prepared: pd.DataFrame) -> Split:
    """Split prepared wines 60/20/20, stratified by target and colour, in the same way for every model.

    The wines of a sample stay in the parts that they have in the whole table.

    Raises:
        WorkshopError: there are too few wines for a stratified split.
    """
    if PART in prepared:
        return Split(*(prepared[prepared[PART] == part] for part in ("train", "validation", "test")))
    rest, test = _stratified(prepared, prepared[TARGET], 0.2, SPLIT_SEED)
    train, validation = _stratified(rest, rest[TARGET], 0.25, SPLIT_SEED)
    return Split(train, validation, test)


def prepare(wines: pd.DataFrame) -> pd.DataFrame:
    """Derive the label from the quality; the result fits the `PREPARED` schema."""
    return check_schema(
        wines.assign(**{TARGET: (wines["quality"] >= HIGH_QUALITY).astype("int64")}), PREPARED, "prepared"
    )


def sample(prepared: pd.DataFrame, share: float) -> pd.DataFrame:
    """Keep a share of the prepared wines of each part, stratified by target and colour; 1 keeps all.

    The wines are split first, and the result contains the part of each. If the sample were split instead, its test
    wines would be among the training wines of models that were trained on all wines. A larger sample contains each
    smaller one.

    Raises:
        WorkshopError: the share leaves no wine of a target and colour in a part.
    """
    if share == 1:
        return prepared
    split, kept = split_prepared(prepared), []
    for part, wines in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        shuffled = wines.sample(frac=1, random_state=SPLIT_SEED)
        strata = shuffled.groupby([TARGET, "is_red"])[TARGET]
        chosen = shuffled[strata.cumcount() < (strata.transform("size") * share).round()]
        if len(chosen.groupby([TARGET, "is_red"])) < strata.ngroups:
            raise WorkshopError(
                f"A sample of {share:g} leaves no wine of some quality and colour among the {part} wines: raise sample."
            )
        kept.append(chosen.assign(**{PART: part}))
    return pd.concat(kept).sort_index().reset_index(drop=True)


def create_datasets(seed: int = 42, source_folder: Path | None = None) -> tuple[Snapshot, Snapshot]:
    """Write the development and the production table, unless they exist already.

    Returns:
        The development and the production snapshot.

    Raises:
        WorkshopError: the originals can't be used, or the tables exist and were made from another seed or other
            files. A new split would put training wines of existing models into production.
    """
    settings = current_settings()
    development, production = development_table(settings), production_table(settings)
    originals = check_schema(read_originals(source_folder), schemas.ORIGINALS, "original wines")
    origin = {"seed": str(seed), "originals": _digest(originals)}
    with FileLock(settings.lock_file("datasets")):
        if development.exists() and production.exists():
            if not development.metadata_with("seed") == production.metadata_with("seed") == origin:
                raise WorkshopError(
                    "The development and production tables were made from another seed or other files, and a new "
                    "split would put training wines of existing models into production: to start afresh, set "
                    "WORKSHOP_HOME to a new folder."
                )
            return development.read(), production.read()
        parts = split_off_production(originals, seed)
        for table, wines in zip((development, production), parts, strict=True):
            table.write(check_schema(wines, WINES, table.name), origin)
    return development.read(), production.read()


def load_wines(table: Table) -> Snapshot:
    """Read the development or production table and check it against its schema.

    Raises:
        WorkshopError: the table is missing, or its rows don't fit the schema.
    """
    snapshot = _existing(table).read()
    check_schema(snapshot.frame, WINES, table.name)
    return snapshot


def production_wines(version: int | None = None) -> Snapshot:
    """Read the production wines at a version, or at the newest one, without checking their schema.

    Raises:
        WorkshopError: the table is missing.
    """
    return _existing(production_table()).read(version)


def test_wines(run_name: str) -> Snapshot:
    """Return the test part of the wines that this run has prepared.

    Raises:
        WorkshopError: no run of that name has prepared wines.
    """
    return _test_part(load_prepared(run_name))


def rows_compared_on(label: str) -> Snapshot:
    """Read the rows of a recorded comparison.

    Args:
        label: as in `production@0`, or `prepared/dev-ana@3` for the test part of that table.

    Raises:
        WorkshopError: this home does not have the rows.
    """
    name, _, version = label.rpartition("@")
    if name == production_table().name:
        return production_wines(int(version))
    table = prepared_table(name.removeprefix("prepared/"))
    if not table.exists():
        raise WorkshopError(f"This home has no table {name}: replay the decision in the home of the run.")
    return _test_part(table.read(int(version)))


def _test_part(prepared: Snapshot) -> Snapshot:
    return replace(prepared, frame=split_prepared(prepared.frame).test)


def _existing(table: Table) -> Table:
    if not table.exists():
        raise WorkshopError(
            f"The {table.name} table is missing: run the notebook part_0_create_datasets first (`workshop run` "
            "includes it; on Databricks use `workshop run --target databricks --notebooks 0`, once)."
        )
    return table


def save_prepared(prepared: pd.DataFrame, run_name: str, source: Snapshot) -> Snapshot:
    """Write this run's prepared wines as a new version of the run name's prepared table."""
    settings = current_settings()
    table = prepared_table(run_name, settings)
    share = f" ({len(prepared):,} of {len(source.frame):,} wines)" if len(prepared) != len(source.frame) else ""
    # A sample has one column more than all wines.
    table.write(prepared, {"run_id": settings.run_id, "source": source.label + share}, new_columns=True)
    return load_prepared(run_name)


def load_prepared(run_name: str) -> Snapshot:
    """Read the wines that this run has prepared; if it does not prepare wines, the newest of that run name.

    Raises:
        WorkshopError: this run should have prepared wines but did not, or no run of that name did.
    """
    settings = current_settings()
    table = prepared_table(run_name, settings)
    if not table.exists():
        raise WorkshopError(
            f"No prepared wines for the run name {run_name}: run the notebook part_1_1_data_prep with it first."
        )
    version = table.version_of(run_id=settings.run_id)
    if version is None and settings.is_in_this_run(PREPARATION):
        raise WorkshopError(
            f"{PREPARATION} has not written a table in this run, and an earlier one is not used instead: find out why "
            "that notebook ended without one."
        )
    snapshot = table.read(version)
    check_schema(snapshot.frame, PREPARED, table.name)
    return snapshot


def _stratified(wines: pd.DataFrame, target: pd.Series, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split off a share of the wines, stratified by label and colour."""
    strata = target.astype(int) * 2 + wines["is_red"].astype(int)
    try:
        rest, part = train_test_split(wines, test_size=share, random_state=seed, stratify=strata)
    except ValueError as error:
        raise WorkshopError(
            f"The {len(wines)} wines can't be stratified by label and colour ({first_sentence(error)}): add wines."
        ) from error
    return rest, part


def _digest(wines: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(wines, index=False).to_numpy().tobytes()).hexdigest()
