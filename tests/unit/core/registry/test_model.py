from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier

from tests.support.models import MODEL, Gallery, answering, refusal
from workshop.core.data import datasets
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.parameters import Parameters
from workshop.core.registry import mlflow_store, model


class Homemade(RandomForestClassifier):  # type: ignore[misc]
    """A type that is not trusted."""


@pytest.fixture
def workbench(empty_registry: MlflowClient) -> MlflowClient:
    """A store in which the experiment of dev-ann is in use."""
    mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann")
    return empty_registry


def log(classifier: Any, split: datasets.Split, run_name: str = "dev-ann") -> str:
    """Log and register a fitted classifier in a run of its own."""
    with mlflow.start_run() as run:
        pass
    return model.log_candidate(
        classifier, run.info.run_id, split.train, "prepared/dev-ann@2", Parameters(run_name=run_name)
    )


# Logging and loading


@pytest.mark.parametrize("name", ["first", "better"])
def test_a_model_that_was_loaded_answers_as_the_one_that_was_fitted(
    registry: MlflowClient, gallery: Gallery, production: pd.DataFrame, name: str
) -> None:
    version = str(model.find_candidate(registry, MODEL, name).version)
    answers = model.load_version(registry, MODEL, version).probabilities(production)
    expected = gallery.classifiers[name].predict_proba(production[FEATURES])[:, 1]
    np.testing.assert_array_equal(answers, expected.astype("float64"))
    assert answers.shape == (len(production),)
    assert answers.dtype == np.float64


def test_a_loaded_model_knows_its_version_its_data_and_its_columns(registry: MlflowClient) -> None:
    loaded = model.load_version(registry, MODEL, "3")
    assert (loaded.version, loaded.data_version) == ("3", "development@0")
    assert loaded.input_columns == FEATURES
    assert loaded.signature is not None
    assert {str(kind) for kind in loaded.signature.inputs.input_types()} == {"DataType.double"}


def test_neither_the_order_of_columns_nor_extra_ones_change_the_answer(
    registry: MlflowClient, production: pd.DataFrame
) -> None:
    loaded = model.load_version(registry, MODEL, "1")
    turned = production[production.columns[::-1]].assign(price=9.5)
    np.testing.assert_array_equal(loaded.probabilities(turned), loaded.probabilities(production))


def test_a_missing_column_is_refused(registry: MlflowClient, production: pd.DataFrame) -> None:
    with refusal("alcohol"):
        model.load_version(registry, MODEL, "1").probabilities(production.drop(columns="alcohol"))


def test_a_column_of_another_type_is_refused(registry: MlflowClient, production: pd.DataFrame) -> None:
    with refusal("version 1"):
        model.load_version(registry, MODEL, "1").probabilities(production.assign(alcohol="strong"))


def test_a_model_that_raises_is_refused(production: pd.DataFrame) -> None:
    def raise_it(_: pd.DataFrame) -> np.ndarray:
        raise ValueError("the cork\nis stuck")

    with refusal("version 7", "the cork"):
        answering(raise_it).probabilities(production)


def test_a_candidate_records_its_origin(
    workbench: MlflowClient, classifiers: dict[str, Any], split: datasets.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_RUN_ID", "20260101-dev-ann")
    monkeypatch.setattr(model, "git_commit", lambda: "0123abc")
    entry = workbench.get_model_version(MODEL, log(classifiers["first"], split))
    expected = {
        "workshop.run_name": "dev-ann",
        "workshop.run_id": "20260101-dev-ann",
        "workshop.data_version": "prepared/dev-ann@2",
        "workshop.git_commit": "0123abc",
    }
    assert expected.items() <= entry.tags.items()
    assert expected.items() <= workbench.get_run(str(entry.run_id)).data.tags.items()


@pytest.mark.parametrize(("name", "package"), [("first", "scikit-learn"), ("better", "xgboost-cpu")])
def test_what_a_model_needs_is_pinned(registry: MlflowClient, gallery: Gallery, name: str, package: str) -> None:
    version = model.find_candidate(registry, MODEL, name).version
    pinned = Path(mlflow.pyfunc.get_model_dependencies(f"models:/{MODEL}/{version}")).read_text().split()
    assert all("==" in requirement for requirement in pinned)
    assert package in {requirement.split("==")[0] for requirement in pinned}
    assert ("xgboost-cpu" in " ".join(pinned)) == (name == "better")


def test_nothing_in_a_stored_model_is_a_pickle(registry: MlflowClient) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/1"))
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert "classifier.skops" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]


@pytest.mark.parametrize("left_open", [True, False])
def test_the_training_cell_may_leave_its_run_open(
    workbench: MlflowClient, classifiers: dict[str, Any], split: datasets.Split, left_open: bool
) -> None:
    run = mlflow.start_run()
    if not left_open:
        mlflow.end_run()
    parameters = Parameters(run_name="dev-ann")
    version = model.log_candidate(classifiers["first"], run.info.run_id, split.train, "development@0", parameters)
    assert workbench.get_model_version(MODEL, version).run_id == run.info.run_id
    mlflow.end_run()
    assert workbench.get_run(run.info.run_id).info.status == "FINISHED"
    assert len(workbench.search_runs([run.info.experiment_id])) == 1


def test_another_run_that_is_open_stays_open(
    workbench: MlflowClient, classifiers: dict[str, Any], split: datasets.Split
) -> None:
    with mlflow.start_run() as trained:
        pass
    with mlflow.start_run() as other:
        parameters = Parameters(run_name="dev-ann")
        model.log_candidate(classifiers["first"], trained.info.run_id, split.train, "development@0", parameters)
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == other.info.run_id


def test_an_untrusted_type_is_refused_before_anything_is_registered(
    workbench: MlflowClient, split: datasets.Split
) -> None:
    classifier = Homemade(2, random_state=0).fit(split.train[FEATURES], split.train[TARGET])
    with refusal("Homemade", "TRUSTED_TYPES"):
        log(classifier, split)
    assert list(workbench.search_model_versions(f"name = '{MODEL}'")) == []


# Through a slot


def test_a_consumer_gets_the_same_answers_through_the_slot(registry: MlflowClient, production: pd.DataFrame) -> None:
    registry.set_registered_model_alias(MODEL, "production", "3")
    through_the_slot = model.load_as_a_consumer(f"models:/{MODEL}@production", "3")
    assert through_the_slot.version == "3"
    np.testing.assert_array_equal(
        through_the_slot.probabilities(production), model.load_version(registry, MODEL, "3").probabilities(production)
    )


def test_an_empty_slot_has_no_model(registry: MlflowClient) -> None:
    with refusal(f"load models:/{MODEL}@production"):
        model.load_as_a_consumer(f"models:/{MODEL}@production", "3")


def test_a_model_brings_an_example_of_its_input_that_it_answers(registry: MlflowClient, split: datasets.Split) -> None:
    loaded = model.load_version(registry, MODEL, "1")
    assert loaded.example is not None
    pd.testing.assert_frame_equal(loaded.example, split.train[FEATURES].head(5).reset_index(drop=True))
    assert loaded.probabilities(loaded.example).shape == (5,)


# Finding the candidate


@pytest.fixture
def shelf(workbench: MlflowClient) -> MlflowClient:
    """Versions 1 to 11, registered by the runs of Ann and Ben; they have no artifacts."""
    workbench.create_registered_model(MODEL)
    for number in range(1, 12):
        run_name = "dev-ben" if number == 11 else "dev-ann"
        tags = {model.RUN_NAME_TAG: run_name, model.RUN_ID_TAG: f"run-{number}"}
        workbench.create_model_version(MODEL, source="file:///nowhere/model", tags=tags)
    return workbench


@pytest.mark.parametrize(
    ("run_id", "run_name", "expected"),
    [
        ("run-3", "dev-ann", "3"),
        ("run-10", "dev-ann", "10"),
        ("", "dev-ann", "10"),
        ("another", "dev-ann", "10"),
        ("", "dev-ben", "11"),
        ("run-3", "dev-ben", "11"),
    ],
)
def test_the_candidate_is_this_runs_or_else_the_newest_of_its_name(
    shelf: MlflowClient, monkeypatch: pytest.MonkeyPatch, run_id: str, run_name: str, expected: str
) -> None:
    monkeypatch.setenv("WORKSHOP_RUN_ID", run_id)
    assert str(model.find_candidate(shelf, MODEL, run_name).version) == expected


def test_a_slot_that_was_moved_does_not_change_the_candidate(shelf: MlflowClient) -> None:
    shelf.set_registered_model_alias(MODEL, "staging", "4")
    assert str(model.find_candidate(shelf, MODEL, "dev-ann").version) == "10"


@pytest.mark.parametrize("name", [MODEL, "never_registered"])
def test_a_run_name_without_a_candidate_is_refused(shelf: MlflowClient, name: str) -> None:
    with refusal("dev-cid", name, "part_1_2_training"):
        model.find_candidate(shelf, name, "dev-cid")


# Models that can't be loaded


@pytest.mark.parametrize(("name", "version"), [(MODEL, "99"), ("never_registered", "1")])
def test_a_version_that_is_not_there_is_refused(registry: MlflowClient, name: str, version: str) -> None:
    with refusal(f"load {name} version {version}"):
        model.load_version(registry, name, version)


@pytest.mark.parametrize("damage", ["garbage", "gone", "all gone"])
def test_damaged_artifacts_are_explained(
    workbench: MlflowClient, classifiers: dict[str, Any], split: datasets.Split, home: Path, damage: str
) -> None:
    version = log(classifiers["first"], split)
    (stored,) = home.rglob("classifier.skops")
    if damage == "garbage":
        stored.write_bytes(b"this is not a model")
    elif damage == "gone":
        stored.unlink()
    else:
        for file in (home / "artifacts").rglob("*"):
            if file.is_file():
                file.unlink()
    with refusal(f"version {version}"):
        model.load_version(workbench, MODEL, version)


def test_a_model_that_holds_a_type_that_is_no_longer_trusted_is_not_loaded(
    workbench: MlflowClient, split: datasets.Split, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Homemade(2, random_state=0).fit(split.train[FEATURES], split.train[TARGET])
    homemade = f"{Homemade.__module__}.Homemade"
    with monkeypatch.context() as patch:
        patch.setattr(model, "TRUSTED_TYPES", [*model.TRUSTED_TYPES, homemade])
        trusting = log(classifier, split)
    assert model.load_version(workbench, MODEL, trusting).version == trusting
    (record,) = home.rglob("MLmodel")
    record.write_text(record.read_text().replace(homemade, "builtins.int"))
    with refusal("not trusted", "Homemade"):
        model.load_version(workbench, MODEL, trusting)
