"""The remote target: runs the notebooks as a job on Databricks.

Functions raise a WorkshopError of one sentence where a check fails, or the workspace refuses or does not answer.
"""
