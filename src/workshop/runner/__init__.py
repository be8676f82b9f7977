"""The headless runner: executes the notebooks in order, checks each one and writes the report."""
