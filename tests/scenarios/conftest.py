"""The fixtures of a Databricks workspace, which the scenarios share with the unit tests."""

from tests.unit.databricks.conftest import commit, served, workspace

__all__ = ["commit", "served", "workspace"]
