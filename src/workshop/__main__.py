"""`workshop` and `python -m workshop`, without a traceback for a Ctrl-C or a failing import."""

import gc
import os
import sys
import warnings
from typing import NoReturn

from kit_common.garbage import uncollected


def main() -> NoReturn:
    """Run the command line."""
    _allow_warnings()
    try:
        with uncollected():
            from workshop.cli.app import main as command_line  # noqa: PLC0415  # takes a fifth of a second
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    except ModuleNotFoundError as error:
        advice = "run `pip install --no-deps -r requirements.txt`"
        sys.exit(f"The package {error.name} is not installed in {sys.prefix}: {advice}.")
    except Exception as error:  # noqa: BLE001  # as in a package whose compiled part does not load
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        sys.exit(f"The packages in {sys.prefix} do not load ({what}): install them again with `make setup`.")
    try:
        command_line()
    finally:
        gc.freeze()  # else Python searches all that was imported for garbage before it ends


def _allow_warnings() -> None:
    """Undo PYTHONWARNINGS=error, for the child processes too: some libraries emit warnings at their import."""
    if not any(action == "error" for action, *_ in warnings.filters):
        return
    os.environ.pop("PYTHONWARNINGS", None)
    sys.warnoptions.clear()  # multiprocessing passes them on
    warnings.resetwarnings()
    for each in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", each)


if __name__ == "__main__":
    main()
