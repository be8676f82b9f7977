"""Runs the notebooks on Azure Databricks: one run, submitted, followed to its end, and reported as a local one is."""
