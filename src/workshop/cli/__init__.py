"""The command line: one module for each group of commands."""

import os

if os.environ.get("COLUMNS", "").strip("0") == "":
    os.environ.pop("COLUMNS", None)  # Rich takes 0 for a terminal without room, and prints nothing
