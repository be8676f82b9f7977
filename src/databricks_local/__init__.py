"""A Databricks workspace on one machine, for trying and testing jobs without an account."""
