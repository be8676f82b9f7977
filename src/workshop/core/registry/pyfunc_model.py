"""The model as MLflow stores it: this file is copied beside the classifier and run when the model is loaded.

So a consumer needs MLflow, skops and scikit-learn, but not the kit. Nothing is unpickled: skops reads the classifier
and accepts only the types that the model's record lists.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import skops.io
from mlflow.pyfunc.model import PythonModel


class ProbabilityModel(PythonModel):
    """A model that predicts the probability of the positive class, one float64 per row."""

    def load_context(self, context: Any) -> None:
        """Read the classifier from the model's artifacts."""
        self.classifier = skops.io.load(
            context.artifacts["classifier"], trusted=list(context.model_config["trusted_types"])
        )

    def predict(  # MLflow passes these three
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Return the probability of the positive class for each row, shape `(rows,)`."""
        probabilities: np.ndarray = self.classifier.predict_proba(model_input)[:, 1].astype("float64")
        return probabilities


mlflow.models.set_model(ProbabilityModel())
