"""The command line: one module for each group of commands."""

import os

if os.environ.get("COLUMNS", "").strip("0") == "":
    os.environ.pop("COLUMNS", None)  # at a width of 0, Rich prints nothing
