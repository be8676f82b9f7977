"""Readers of the facts; none of them writes anything."""
