"""`workshop`, and `python -m workshop`: a Ctrl-C while they are still being imported is no traceback either."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    try:
        from workshop.cli import main as command_line  # noqa: PLC0415  # it takes a quarter of a second
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    command_line()


if __name__ == "__main__":
    main()
