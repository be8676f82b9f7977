"""Checks of a laptop and of a workspace before anything runs."""
