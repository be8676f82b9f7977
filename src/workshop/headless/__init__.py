"""Runs the notebooks in order, without a person: what a pipeline calls and a laptop calls, one and the same."""
