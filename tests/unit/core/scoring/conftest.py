"""A model and a table of predictions, for scoring in this process and on Spark."""

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL
from workshop.core.data.delta_folder import DeltaFolder
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.settings import current_settings


@pytest.fixture
def loaded(registry: MlflowClient) -> LoadedModel:
    """Version 1, in a home with the tables."""
    return load_version(registry, MODEL, "1")


@pytest.fixture
def cellar() -> DeltaFolder:
    """A table of wines that is not written yet."""
    return DeltaFolder("cellar", current_settings().data / "cellar")


@pytest.fixture
def predictions() -> DeltaFolder:
    """The table of predictions of dev-ann, which is not written yet."""
    return DeltaFolder("predictions/dev-ann", current_settings().data / "predictions" / "dev-ann")
