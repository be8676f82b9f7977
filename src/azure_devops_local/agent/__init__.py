"""The agent: executes the jobs and steps of a pipeline's run."""
