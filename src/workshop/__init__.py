"""The workshop kit: notebooks that train a model, and what delivers it."""

import os

# MLflow reads this when it is first imported. A kit that is used offline and inside companies reports to nobody.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
