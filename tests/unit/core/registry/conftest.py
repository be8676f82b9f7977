"""Fixtures of the followers' tests."""

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, answering
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel
from workshop.core.registry.slots import Slot, Slots, open_slots


@pytest.fixture
def slots(registry: MlflowClient) -> Slots:
    """Version 1 holds Production."""
    held = open_slots(registry, MODEL)
    held.assign(Slot.PRODUCTION, "1")
    return held


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The number of loads of each version; a version set to a negative number can't be loaded."""
    counted: dict[str, int] = {}

    def load(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
        counted[version] = counted.get(version, 0) + 1
        if counted[version] < 0:
            raise WorkshopError(f"Version {version} is broken: train it again.")
        stand_in = answering(lambda wines: np.full(len(wines), float(version)))
        stand_in.pyfunc.input_example = None
        return LoadedModel(version, "", stand_in.pyfunc)

    monkeypatch.setattr("workshop.core.registry.follower.load_version", load)
    return counted
