"""The model registry: MLflow's store, model versions, and the slots that name them."""
