"""Serving over HTTP whatever holds a slot."""
