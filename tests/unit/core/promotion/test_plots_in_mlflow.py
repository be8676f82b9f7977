import json
import logging
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from tests.support.promotions import BETTER, FIRST, events, run, slots_now
from workshop.core.registry.slots import Slot


def test_an_event_in_mlflow_contains_the_figures_and_the_picture_of_its_decision(registry: MlflowClient) -> None:
    run(FIRST)
    outcome = run(BETTER)
    event = events()[-1]
    recorded = registry.get_run(event.id)
    assert recorded.info.run_name == "promotion of version 3 over 1"
    assert recorded.info.status == "FINISHED"
    assert recorded.data.metrics["difference"] == outcome.decision.difference
    assert recorded.data.metrics["guards/enough_rows/positives"] == 202
    assert recorded.data.metrics["guards/not_worse_on_red_wines/passed"] == 1
    assert outcome.decision.reason in recorded.data.tags["mlflow.note.content"]
    assert json.loads(Path(registry.download_artifacts(event.id, "decision.json")).read_text())["verdict"] == "better"
    with Image.open(registry.download_artifacts(event.id, "decision.png")) as picture:
        assert min(picture.size) > 300
    assert plt.get_fignums() == []


def test_pictures_that_can_not_be_stored_do_not_undo_a_promotion(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MlflowException("the artifact store is full")

    monkeypatch.setattr(MlflowClient, "log_figure", full)
    with caplog.at_level(logging.WARNING, logger="workshop"):
        assert run(FIRST).status == "promoted"
    assert "the artifact store is full" in caplog.text
    assert slots_now().holder(Slot.PRODUCTION) == "1"
    assert mlflow.active_run() is None
