"""The code that runs inside a real Azure pipeline."""
