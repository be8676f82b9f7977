"""A model with the faulty answers of its configuration; stored as code, so that loading it unpickles nothing."""

import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class OddModel(PythonModel):
    """A model that answers with a constant, with more than 1, with NaN, with text, or not at all."""

    def load_context(self, context: Any) -> None:
        """Append this process's id to the file in `loads`, if there is one."""
        if loads := context.model_config.get("loads"):
            with Path(loads).open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()}\n")

    def predict(  # MLflow calls it with these three
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        rows = len(model_input)
        match context.model_config["answers"]:
            case "a constant":
                return np.full(rows, 0.5)
            case "more than certain":
                return np.linspace(0, 2, rows)
            case "NaN":
                return np.where(np.arange(rows) % 100 == 7, np.nan, 0.5)
            case "two columns":
                return np.full((rows, 2), 0.5)
            case _:
                raise ValueError("the cork\nis stuck")


mlflow.models.set_model(OddModel())
