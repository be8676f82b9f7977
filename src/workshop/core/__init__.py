"""What the notebooks call: data, models, the gate, the slots, promotion and scoring.

Nothing in here knows of a notebook runner, a command line or a vendor.
"""
