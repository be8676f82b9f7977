"""Batch scoring with the model that holds a slot."""
