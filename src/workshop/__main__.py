"""`workshop` and `python -m workshop`, without a traceback for a Ctrl-C or a missing package during the imports."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    try:
        from workshop.cli.app import main as command_line  # noqa: PLC0415  # the import takes a quarter of a second
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    except ModuleNotFoundError as error:
        sys.exit(f"The package {error.name} is not installed in {sys.prefix}: run `pip install -r requirements.txt`.")
    command_line()


if __name__ == "__main__":
    main()
