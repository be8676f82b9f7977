"""The library for notebooks: data, models, gate, slots, promotion and scoring.

It does not depend on the notebook runner, the command line or a vendor.
"""
