"""The remote target: runs the notebooks as a job on Databricks."""
