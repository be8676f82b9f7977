"""The figures and pictures of a decision, on its run in MLflow."""

import logging
import math
from datetime import datetime

import matplotlib.pyplot as plt
from mlflow.entities import Metric

from workshop.core.errors import WorkshopError
from workshop.core.promotion import plots
from workshop.core.promotion.gate import Decision
from workshop.core.promotion.history import Event, History
from workshop.core.promotion.judgement import Judgement
from workshop.core.registry.mlflow_store import explained

_log = logging.getLogger("workshop")


def illustrate(history: History, event: Event, judgement: Judgement) -> None:
    """Add figures and pictures to an event that is recorded already; it stands without them, so failing is no error."""
    client = history.client
    try:
        with explained("draw the decision"):
            timestamp = int(datetime.fromisoformat(event.at).timestamp() * 1000)
            metrics = [Metric(name, value, timestamp, 0) for name, value in _figures(judgement.decision).items()]
            client.log_batch(event.id, metrics=metrics)
            client.log_dict(event.id, judgement.decision.as_dict(), "decision.json")
            figure = plots.decision_picture(judgement)
            client.log_figure(event.id, figure, "decision.png")
            plt.close(figure)
    except WorkshopError as error:
        _log.warning("The decision is recorded, but without its pictures: %s", error)


def _figures(decision: Decision) -> dict[str, float]:
    """The numbers of a decision, those of its guards under the guard's name."""
    figures = {name: value for name, value in decision.as_dict().items() if isinstance(value, int | float)}
    for guard in decision.guards:
        called = "".join(letter if letter.isalnum() else "_" for letter in guard.name)
        figures |= {f"guards/{called}/{name}": value for name, value in guard.figures.items()}
        figures[f"guards/{called}/passed"] = float(guard.passed)
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
