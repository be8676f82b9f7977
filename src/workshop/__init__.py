"""The workshop kit: notebooks that train a model, and the tools that deliver it."""

import os

# MLflow reads this at its first import. The kit is used offline and inside companies, so it sends no usage data.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
